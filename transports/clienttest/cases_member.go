package clienttest

// memberCases test members of families.
var memberCases = []Case{
	{
		Name: "member", Rule: "A member of a family is asked for by its parameters, and bears them.",
		run: func(r *rig) error {
			r.member = map[string]string{"venue": "a&b=c é", "user": "42"}
			params := message{"params": r.member}
			v1 := r.has("v1", named("a")...)
			v2 := r.has("v2", named("a", "b")...)
			return steps(r.doOpen(), r.doJoinFrom(""), r.doTell(as(v1.sync(1, "id"), params)), r.doShow(v1),
				r.doCut(), r.doJoinFrom("v1"), r.doTell(as(v2.from(v1), params)), r.doShow(v2))
		},
	},
	{
		Name: "messages of another member", Rule: "Messages of another member, or of the family itself, are not this member's.", On: []Transport{WebSocket, SSE},
		run: func(r *rig) error {
			r.member = map[string]string{"user": "42"}
			params := message{"params": r.member}
			v1 := r.has("v1", named("a")...)
			v2 := r.has("v2", named("a", "b")...)
			other := version{"x1", named("x", "y")}
			return steps(r.doOpen(), r.doJoinFrom(""), r.doTell(as(v1.sync(1, "id"), params)), r.doShow(v1),
				r.doHalf(as(other.sync(1, "id"), message{"params": message{"user": "7"}})), r.doHalf(other.sync(1, "id")),
				r.doTell(as(v2.from(v1), params)), r.doShow(v2))
		},
	},
	{
		Name: "parameters in another spelling", Rule: "The server spells parameters as their types have them: 42 for \"42\".",
		run: func(r *rig) error {
			r.member = map[string]string{"user": "42"}
			v1 := r.has("v1", named("a")...)
			return steps(r.doOpen(), r.doJoinFrom(""), r.doTell(as(v1.sync(1, "id"), message{"params": message{"user": 42}})), r.doShow(v1))
		},
	},
}
