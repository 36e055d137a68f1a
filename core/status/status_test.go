package status_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/value"
)

// TestJSON holds the field names of docs/protocol.md, words for states and text
// for errors.
func TestJSON(t *testing.T) {
	at := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	st := status.Registry{
		Bindings: []status.Binding{
			{Name: "new", Table: driver.Table{Name: "products"}, Since: at},
			{
				Name: "shelf", Params: live.Params{{Name: "n", Value: value.Int(7)}}, Scoped: true,
				Table: driver.Table{Schema: "shop", Name: "products"}, State: status.Stale, Since: at, Err: errors.New("no answer"),
				Trouble: []status.Trouble{{Key: driver.KeyOf(7, "a,b"), Reason: "NaN"}}, Troubled: 2,
				Version: live.Version{Token: "T", Seq: 3, Modified: at}, Age: 1500 * time.Millisecond,
				Rows: 1, Bytes: 2, Subscribers: 3, Events: 4, Syncs: 5, Merges: 6,
			},
		},
		Families: []status.Family{{Name: "shelf", Params: []string{"n"}, Alive: 2, InUse: 1, Max: 10, Opened: 3}},
		Sources:  []status.Source{{Name: "hooks", Since: at, Err: errors.New("away"), Reports: 1, Failures: 2, Found: 3}},
		Tables:   []status.Feed{{Table: driver.Table{Name: "products"}, WholeReads: 2, WaitTime: 2 * time.Second}},
	}
	got, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(got, &raw); err != nil {
		t.Fatal(err)
	}
	fields := make(map[string][]map[string]any)
	for _, list := range []string{"bindings", "families", "sources", "tables"} {
		var items []map[string]any
		if err := json.Unmarshal(raw[list], &items); err != nil {
			t.Fatal(err)
		}
		fields[list] = items
	}
	want := map[string][]map[string]any{
		"bindings": {
			{
				"name": "new", "params": map[string]any{}, "error": "", "table": "products", "rows": 0.0, "bytes": 0.0, "state": "loading", "since": "2024-05-06T07:08:09Z",
				"trouble": []any{}, "troubled": 0.0, "subscribers": 0.0, "events": 0.0, "syncs": 0.0, "merges": 0.0,
			},
			{
				"name": "shelf", "params": map[string]any{"n": 7.0}, "scoped": true, "table": "shop.products", "rows": 1.0, "bytes": 2.0, "version": "T",
				"modified": "2024-05-06T07:08:09Z", "age": 1.5, "state": "stale", "since": "2024-05-06T07:08:09Z", "error": "no answer",
				"trouble":  []any{map[string]any{"key": driver.KeyOf(7, "a,b").String(), "reason": "NaN"}},
				"troubled": 2.0, "subscribers": 3.0, "events": 4.0, "syncs": 5.0, "merges": 6.0,
			},
		},
		"families": {{
			"name": "shelf", "params": []any{"n"}, "alive": 2.0, "in_use": 1.0, "max": 10.0,
			"opened": 3.0, "retired": 0.0, "evicted": 0.0, "refused": 0.0,
		}},
		"sources": {{
			"name": "hooks", "watching": false, "since": "2024-05-06T07:08:09Z", "error": "away", "reports": 1.0, "failures": 2.0, "found": 3.0,
		}},
	}
	for list, items := range want {
		a, _ := json.Marshal(items)
		b, _ := json.Marshal(fields[list])
		if string(a) != string(b) {
			t.Errorf("%s:\n\tgot  %s\n\twant %s", list, b, a)
		}
	}
	table := fields["tables"][0]
	if table["table"] != "products" || table["whole_reads"] != 2.0 || table["wait_seconds"] != 2.0 {
		t.Errorf("tables: %v", table)
	}
}

func TestStateNames(t *testing.T) {
	for state, want := range map[status.State]string{
		status.Loading: "loading", status.Live: "live", status.Stale: "stale", status.Ended: "ended", status.State(9): "unknown",
	} {
		if text, err := state.MarshalText(); err != nil || string(text) != want {
			t.Errorf("%d is %q (%v), want %q", state, text, err, want)
		}
	}
}

// TestEmptyJSON: lists are arrays, and keys texts, whatever is in them.
func TestEmptyJSON(t *testing.T) {
	for want, st := range map[string]any{
		`{"missing":["7,a%2Cb"],"extra":[],"different":[]}`: status.Drift{Missing: []driver.Key{driver.KeyOf(7, "a,b")}},
		`{"in":false,"why":[],"sources":[]}`:                status.Explain{},
	} {
		if got, err := json.Marshal(st); err != nil || string(got) != want {
			t.Errorf("%T: %s (%v), want %s", st, got, err, want)
		}
	}
	got, err := json.Marshal(status.Registry{Families: []status.Family{{Name: "scoped"}}})
	var st map[string]any
	if err != nil || json.Unmarshal(got, &st) != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"bindings", "sources", "tables", "transports"} {
		if all, ok := st[list].([]any); !ok || len(all) != 0 {
			t.Errorf("%s: %v", list, st[list])
		}
	}
	family := st["families"].([]any)[0].(map[string]any)
	if params, ok := family["params"].([]any); !ok || len(params) != 0 {
		t.Errorf("params: %v", family["params"])
	}
}
