package clienttest

// orderCases test the order of rows. Events carry no positions, so a client that shows
// an order must sort.
var orderCases = []Case{
	{
		Name: "order: creates and updates", Rule: "Page 1 of a sync bears the order; rows that come or change go to their places.",
		run: func(r *rig) error {
			v1 := r.has("v1", row{"id": 5, "n": 1}, row{"id": 2, "n": 3}, row{"id": 9, "n": 3})
			v2 := r.has("v2", row{"id": 7, "n": 0}, row{"id": 5, "n": 1}, row{"id": 2, "n": 3}, row{"id": 3, "n": 3}, row{"id": 9, "n": 3})
			v3 := r.has("v3", row{"id": 9, "n": -1}, row{"id": 5, "n": 1}, row{"id": 2, "n": 3}, row{"id": 3, "n": 3}, row{"id": 7, "n": 10})
			return steps(r.doBegin(v1, "n", "id"), r.doTell(v2.from(v1)), r.doShow(v2), r.doTell(v3.from(v2)), r.doShow(v3))
		},
	},
	{
		Name: "order: descending", Rule: "A leading - is for descending.",
		run: func(r *rig) error {
			v1 := r.has("v1", row{"id": 1, "n": 9}, row{"id": 2, "n": 4})
			v2 := r.has("v2", row{"id": 3, "n": 10}, row{"id": 1, "n": 9}, row{"id": 5, "n": 4}, row{"id": 2, "n": 4}, row{"id": 4, "n": nil})
			return steps(r.doBegin(v1, "-n", "-id"), r.doTell(v2.from(v1)), r.doShow(v2))
		},
	},
	{
		Name: "order: null first", Rule: "null is below everything.",
		run: func(r *rig) error {
			v1 := r.has("v1", row{"id": 1, "n": 0})
			v2 := r.has("v2", row{"id": 2, "n": nil}, row{"id": 3, "n": -5.5}, row{"id": 1, "n": 0})
			return steps(r.doBegin(v1, "n", "id"), r.doTell(v2.from(v1)), r.doShow(v2))
		},
	},
	{
		Name: "order: text", Rule: "Text is in the order of its UTF-8 bytes, which is that of code points.",
		run: func(r *rig) error {
			v1 := r.has("v1", row{"id": 1, "n": "b"})
			v2 := r.has("v2", row{"id": 2, "n": ""}, row{"id": 3, "n": "10"}, row{"id": 4, "n": "9"}, row{"id": 5, "n": "Z"}, row{"id": 1, "n": "b"},
				row{"id": 6, "n": "é"}, row{"id": 7, "n": "\uff5e"}, row{"id": 8, "n": "\U0001f600"})
			return steps(r.doBegin(v1, "n", "id"), r.doTell(v2.from(v1)), r.doShow(v2))
		},
	},
	{
		Name: "order: another one", Rule: "A sync may bear another order than the one before.",
		run: func(r *rig) error {
			v1 := r.has("v1", row{"id": 1, "n": 2}, row{"id": 2, "n": 1})
			v2 := r.has("v2", row{"id": 2, "n": 1}, row{"id": 1, "n": 2})
			v3 := r.has("v3", row{"id": 2, "n": 1}, row{"id": 3, "n": 1.5}, row{"id": 1, "n": 2})
			return steps(r.doBegin(v1, "id"), r.doTell(v2.sync(10, "n", "id")), r.doShow(v2), r.doTell(v3.from(v2)), r.doShow(v3))
		},
	},
}
