package clienttest

// batchCases cut batches in two. Over polls a batch is one answer, and half of it
// arrives.
var batchCases = []Case{
	{
		Name: "half a batch", Rule: "A client holds the messages of a batch and applies them at the last one.",
		run: func(r *rig) error {
			v1 := r.has("v1", named("a", "b", "c")...)
			v2 := r.has("v2", row{"id": 2, "name": "B"}, row{"id": 4, "name": "d"}, row{"id": 5, "name": "e"})
			list := v2.from(v1)
			if r.tr == Poll {
				return steps(r.doBegin(v1, "id"), r.doHalf(list[:2]), r.doStill(v1), r.doCut(), r.doJoinFrom("v1"), r.doTell(list), r.doShow(v2))
			}
			return steps(r.doBegin(v1, "id"), r.doHalf(list[:1]), r.doStill(v1), r.doHalf(list[1:2]), r.doStill(v1), r.doTell(list[2:]), r.doShow(v2))
		},
	},
	{
		Name: "cut in the middle of a batch", Rule: "A connection lost in the middle leaves nothing half done: the client resumes from the version before.",
		run: func(r *rig) error {
			v1 := r.has("v1", named("a", "b", "c")...)
			v2 := r.has("v2", row{"id": 2, "name": "B"}, row{"id": 4, "name": "d"})
			v3 := r.has("v3", row{"id": 4, "name": "D"})
			list := v2.from(v1)
			return steps(r.doBegin(v1, "id"), r.doHalf(list[:2]), r.doCut(), r.doJoinFrom("v1"), r.doTell(v3.from(v1)), r.doShow(v3))
		},
	},
	{
		Name: "cut in the middle of a sync", Rule: "Pages of a sync that was not completed do not count: the client asks for all of it again.",
		run: func(r *rig) error {
			v1 := r.has("v1", named("a", "b", "c", "d")...)
			v2 := r.has("v2", named("", "b", "c", "d")...)
			return steps(r.doOpen(), r.doJoinFrom(""), r.doHalf(v1.sync(1, "id")[:3]), r.doCut(), r.doJoinFrom(""), r.doTell(v2.sync(2, "id")), r.doShow(v2))
		},
	},
	{
		Name: "a sync cut over rows that are shown", Rule: "A sync that was not completed leaves the rows as they were.",
		run: func(r *rig) error {
			v1 := r.has("v1", named("a", "b")...)
			v2 := r.has("v2", named("x", "y", "z")...)
			return steps(r.doBegin(v1, "id"), r.doHalf(v2.sync(1, "id")[:2]), r.doStill(v1), r.doCut(), r.doJoinFrom("v1"), r.doTell(v2.sync(1, "id")), r.doShow(v2))
		},
	},
	{
		Name: "a sync begun anew", Rule: "Page 1 of a sync begins anew whatever was under way.", On: []Transport{WebSocket, SSE},
		run: func(r *rig) error {
			v1 := r.has("v1", named("a", "b", "c")...)
			v2 := r.has("v2", named("x", "y", "z")...)
			v3 := r.has("v3", named("x", "y", "z", "u")...)
			return steps(r.doOpen(), r.doJoinFrom(""), r.doHalf(v1.sync(1, "id")[:2]), r.doTell(v2.sync(1, "id")), r.doShow(v2),
				r.doHalf(as(v3.from(v2), message{"more": true})), r.doTell(v1.sync(2, "id")), r.doShow(v1))
		},
	},
}
