package clienttest

// nonsenseCases send messages that no server should. A client may ask again or
// reconnect. It must not show wrong rows, and must reach the server's version in the
// end.
var nonsenseCases = []Case{
	nonsense("nonsense: an event before any sync", func(r *rig, v1 version) [][]message {
		return [][]message{version{"x", named("a", "b")}.from(version{})}
	}, true),
	nonsense("nonsense: a batch that changes its mind", func(_ *rig, v1 version) [][]message {
		x, y := version{"x", named("a", "b", "c")}, version{"y", named("a", "b", "", "d")}
		first := as(x.from(v1), message{"more": true})
		return [][]message{append(first, y.from(v1)...)}
	}, false),
	nonsense("nonsense: a page is missing", func(_ *rig, v1 version) [][]message {
		list := version{"x", named("a", "b", "c", "d")}.sync(1, "id")
		return [][]message{{list[0], list[1], list[3]}}
	}, false),
	nonsense("nonsense: ok for a version that is not held", func(_ *rig, v1 version) [][]message {
		return [][]message{version{"x", nil}.ok()}
	}, false),
	nonsense("nonsense: a payload that is no rows", func(_ *rig, v1 version) [][]message {
		return [][]message{{version{"x", nil}.of("create", 7)}}
	}, false),
	nonsense("nonsense: rows that are none", func(_ *rig, v1 version) [][]message {
		return [][]message{{version{"x", nil}.of("create", []any{nil, "x"})}}
	}, false),
	nonsense("nonsense: no version", func(_ *rig, v1 version) [][]message {
		return [][]message{{{"event": binding, "action": "create", "payload": named("", "", "", "", "", "f")}}}
	}, false),
	{
		Name: "nonsense: no JSON", Rule: "A message that is no JSON object is survived.",
		run: func(r *rig) error {
			v1 := r.has("v1", named("a")...)
			v2 := r.has("v2", named("a", "b")...)
			broken := "{"
			if r.tr == SSE {
				broken = "event: create\nid: x\ndata: {\n\n"
			}
			return steps(r.doBegin(v1, "id"), func() error {
				if err := r.ready(); err != nil {
					return err
				}
				err := r.cur.link.raw(broken)
				r.cur = nil
				return err
			}, r.doCatchUp(v2, "id"))
		},
	},
	{
		Name: "nonsense: again and again", Rule: "A server that sends nothing but nonsense is not asked without a pause.",
		run: func(r *rig) error {
			v1 := r.has("v1", named("a")...)
			v2 := r.has("v2", named("a", "b")...)
			list := []func() error{r.doBegin(v1, "id")}
			for range 6 {
				list = append(list, func() error {
					if err := r.ready(); err != nil {
						return err
					}
					err := r.cur.link.send([]message{version{"x", nil}.of("create", 7)})
					r.cur = nil
					if err != nil {
						return err
					}
					_, err = r.join()
					return err
				})
			}
			return steps(append(list, r.doTell(v2.sync(1, "id")), r.doShow(v2))...)
		},
	},
}

// nonsense is a case that sends nonsense and then expects the client to ask again. At
// the beginning the client may also ignore it, because the sync comes anyway.
func nonsense(name string, what func(r *rig, v1 version) [][]message, beginning bool) Case {
	return Case{
		Name: name, Rule: "Nonsense is not shown. The client asks for the rows anew, and comes to the truth.",
		run: func(r *rig) error {
			v1 := r.has("v1", named("a")...)
			v2 := r.has("v2", named("a", "b", "c", "d", "e")...)
			if beginning {
				return steps(r.doOpen(), r.doJoinFrom(""), func() error {
					err := r.cur.link.half(what(r, v1)[0])
					if r.tr == Poll {
						err = r.cur.link.send(what(r, v1)[0])
					}
					if err != nil {
						return err
					}
					// The client may ignore the nonsense, and gets the sync; or it asks
					// again.
					_ = r.cur.link.send(v2.sync(2, "id"))
					return r.converge(v2)
				})
			}
			return steps(r.doBegin(v1, "id"), func() error {
				for _, list := range what(r, v1) {
					if err := r.ready(); err != nil {
						return err
					}
					if err := r.cur.link.send(list); err != nil {
						return err
					}
				}
				r.cur = nil
				return nil
			}, r.doCatchUp(v2, "id"))
		},
	}
}
