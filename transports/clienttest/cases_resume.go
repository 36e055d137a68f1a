package clienttest

// resumeCases test clients that reconnect.
var resumeCases = []Case{
	{
		Name: "resume: ok", Rule: "The client shows its version; it is current: nothing is sent again.",
		run: func(r *rig) error {
			v1 := r.has("v1", named("a", "b")...)
			v2 := r.has("v2", named("a")...)
			return steps(r.doBegin(v1, "id"), r.doCut(), r.doJoinFrom("v1"), r.doTell(v1.ok()), r.doShow(v1), r.doTell(v2.from(v1)), r.doShow(v2))
		},
	},
	{
		Name: "resume: changes", Rule: "The client shows its version; the log has it: the events since are sent.",
		run: func(r *rig) error {
			v1 := r.has("v1", named("a", "b")...)
			v2 := r.has("v2", named("a", "b", "c")...)
			v3 := r.has("v3", named("", "B", "c")...)
			return steps(r.doBegin(v1, "id"), r.doTell(v2.from(v1)), r.doShow(v2), r.doCut(), r.doJoinFrom("v2"), r.doTell(v3.from(v2)), r.doShow(v3))
		},
	},
	{
		Name: "resume: sync", Rule: "The client shows its version; the log does not have it: a sync is sent.",
		run: func(r *rig) error {
			v1 := r.has("v1", named("a", "b")...)
			v8 := r.has("v8", row{"id": 2, "name": "B"}, row{"id": 3, "name": "c"})
			return steps(r.doBegin(v1, "id"), r.doCut(), r.doJoinFrom("v1"), r.doTell(v8.sync(1, "id")), r.doShow(v8))
		},
	},
	{
		Name: "many cuts", Rule: "A client comes back however often the connection breaks.",
		run: func(r *rig) error {
			v := r.has("v1", named("a")...)
			list := []func() error{r.doBegin(v, "id")}
			names := []string{"a"}
			for i := range 8 {
				names = append(names, string(rune('b'+i)))
				w := r.has("v"+string(rune('2'+i)), named(names...)...)
				list = append(list, r.doCut(), r.doJoinFrom(v.token), r.doTell(w.from(v)), r.doShow(w))
				v = w
			}
			return steps(list...)
		},
	},
	{
		Name: "the server is away", Rule: "While the server is away the rows stay, and say that they may be old; the client comes back by itself.",
		run: func(r *rig) error {
			v1 := r.has("v1", named("a", "b")...)
			v2 := r.has("v2", named("a", "b", "c")...)
			return steps(r.doBegin(v1, "id"), func() error {
				if err := r.ready(); err != nil {
					return err
				}
				r.cur = nil
				r.server.setDown(true)
				s, err := r.await("stale rows", func(s State) bool { return s.Status == Stale })
				if err != nil {
					return err
				}
				if err := v1.is(s); err != nil {
					return err
				}
				r.server.setDown(false)
				return nil
			}, r.doJoinFrom("v1"), r.doTell(v2.from(v1)), r.doShow(v2))
		},
	},
	{
		Name: "going away", Rule: "At shutdown a WebSocket is closed with 1001; the client comes back.", On: []Transport{WebSocket},
		run: func(r *rig) error {
			v1 := r.has("v1", named("a")...)
			return steps(r.doBegin(v1, "id"), func() error {
				r.cur.link.(*socketLink).goodbye()
				return nil
			}, r.doJoinFrom("v1"), r.doTell(v1.ok()), r.doShow(v1))
		},
	},
}
