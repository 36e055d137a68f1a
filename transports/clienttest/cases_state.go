package clienttest

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// stateCases test correct syncs and changes.
var stateCases = []Case{
	{
		Name: "sync", Rule: "A sync replaces all that the client holds.",
		run: func(r *rig) error {
			v := r.has("v1", named("a", "b", "c")...)
			return steps(r.doOpen(), r.doJoinFrom(""), r.doTell(v.sync(1_000, "id")), r.doShow(v))
		},
	},
	{
		Name: "sync in pages", Rule: "The pages of a sync are one batch: they are applied at the last.",
		run: func(r *rig) error {
			v := r.has("v1", named("a", "b", "c", "d", "e", "f", "g")...)
			return steps(r.doOpen(), r.doJoinFrom(""), r.doTell(v.sync(2, "id")), r.doShow(v))
		},
	},
	{
		Name: "empty", Rule: "An empty binding is one empty page.",
		run: func(r *rig) error {
			none, one := r.has("v0"), r.has("v1", named("a")...)
			return steps(r.doBegin(none, "id"), r.doTell(one.from(none)), r.doShow(one), r.doTell(none.from(one)), r.doShow(none))
		},
	},
	{
		Name: "changes", Rule: "create and update carry whole rows, delete the key columns alone.",
		run: func(r *rig) error {
			v1 := r.has("v1", named("a", "b")...)
			v2 := r.has("v2", named("a", "b", "c")...)
			v3 := r.has("v3", named("a", "B", "c")...)
			v4 := r.has("v4", named("", "B", "c")...)
			return steps(r.doBegin(v1, "id"), r.doTell(v2.from(v1)), r.doShow(v2), r.doTell(v3.from(v2)), r.doShow(v3), r.doTell(v4.from(v3)), r.doShow(v4))
		},
	},
	{
		Name: "columns that come and go", Rule: "An update carries the whole row: it replaces the row, it is not merged into it.",
		run: func(r *rig) error {
			v1 := r.has("v1", row{"id": 1, "name": "a", "note": "x"})
			v2 := r.has("v2", row{"id": 1, "name": "a"})
			return steps(r.doBegin(v1, "id"), r.doTell(v2.from(v1)), r.doShow(v2))
		},
	},
	{
		Name: "a key that changes", Rule: "A change of the primary key is a delete and a create.",
		run: func(r *rig) error {
			v1 := r.has("v1", named("a", "b")...)
			v2 := r.has("v2", row{"id": 2, "name": "b"}, row{"id": 9, "name": "a"})
			return steps(r.doBegin(v1, "id"), r.doTell(v2.from(v1)), r.doShow(v2))
		},
	},
	{
		Name: "lag", Rule: "A client that lags gets a sync, in the middle of the stream, without asking.",
		run: func(r *rig) error {
			v1 := r.has("v1", named("a", "b", "c")...)
			v9 := r.has("v9", row{"id": 2, "name": "B"}, row{"id": 7, "name": "g"})
			v10 := r.has("v10", row{"id": 2, "name": "B"})
			return steps(r.doBegin(v1, "id"), r.doTell(v9.sync(1, "id")), r.doShow(v9), r.doTell(v10.from(v9)), r.doShow(v10))
		},
	},
	{
		Name: "merged events", Rule: "Merged events hold each key at most once a batch, in any of the actions.",
		run: func(r *rig) error {
			v1 := r.has("v1", named("a", "b", "c", "d")...)
			v5 := r.has("v5", row{"id": 1, "name": "A"}, row{"id": 3, "name": "c"}, row{"id": 5, "name": "e"}, row{"id": 6, "name": "f"})
			return steps(r.doBegin(v1, "id"), r.doTell(v5.from(v1)), r.doShow(v5))
		},
	},
	{
		Name: "an ok in the middle", Rule: `"ok" says that the client's version is current; it may come at any time.`,
		run: func(r *rig) error {
			v1 := r.has("v1", named("a")...)
			v2 := r.has("v2", named("a", "b")...)
			return steps(r.doBegin(v1, "id"), r.doTell(v1.ok()), r.doTell(v2.from(v1)), r.doShow(v2), r.doTell(v2.ok()), r.doShow(v2))
		},
	},
	{
		Name: "text of all kinds", Rule: "Rows are JSON: any text may be in them.",
		run: func(r *rig) error {
			v1 := r.has("v1", row{"id": 1, "name": "line\nbreak\r\u2028\u2029", "e": "data: x\n\nevent: sync"}, row{"id": 2, "name": "\U0001f600 \u0000 \"\\/"},
				row{"id": 3, "name": strings.Repeat("é", 70_000), "deep": map[string]any{"a": []any{nil, true, 1.5, map[string]any{}}}})
			v2 := r.has("v2", v1.rows[1:]...)
			return steps(r.doBegin(v1, "id"), r.doTell(v2.from(v1)), r.doShow(v2))
		},
	},
	{
		Name: "what later protocols add", Rule: "Unknown fields and unknown actions are ignored.",
		run: func(r *rig) error {
			v1 := r.has("v1", named("a")...)
			v2 := r.has("v2", named("a", "b")...)
			list := as(v2.from(v1), message{"later": message{"x": 1}, "actions": []string{"x"}})
			return steps(r.doBegin(v1, "id"), func() error {
				if r.tr == Poll {
					return nil
				}
				return r.tell([]message{{"event": binding, "action": "later", "payload": []int{1}}})
			}, r.doTell(list), r.doShow(v2))
		},
	},
	{
		Name: "comments and line ends", Rule: "A comment line is a heartbeat (HTML, server-sent events): lines end with CR, LF or both.", On: []Transport{SSE},
		run: func(r *rig) error {
			v1 := r.has("v1", named("a")...)
			v2 := r.has("v2", named("a", "b")...)
			return steps(r.doBegin(v1, "id"), func() error {
				m := text(v2.from(v1)[0])
				return r.cur.link.raw(": heartbeat\n\nretry: 20\n\n: \r\nevent: create\r\nid: v2\r\ndata: " + m + "\r\n\r\n:\n\n")
			}, r.doShow(v2))
		},
	},
	{
		Name: "leaving", Rule: "A client that is closed leaves nothing behind: its connection ends.",
		run: func(r *rig) error {
			v1 := r.has("v1", named("a")...)
			if err := r.begin(v1, "id"); err != nil {
				return err
			}
			if err := r.ready(); err != nil {
				return err
			}
			c := r.client
			r.client = nil
			if err := c.Close(); err != nil {
				return fmt.Errorf("closing: %w", err)
			}
			for ; r.ctx.Err() == nil; time.Sleep(time.Millisecond) {
				r.server.mu.Lock()
				left := r.server.left
				r.server.mu.Unlock()
				if left > 0 || r.cur.link.half([]message{{"event": binding, "action": "later"}}) != nil {
					return nil
				}
			}
			return errors.New("the connection of a client that was closed stays open")
		},
	},
}
