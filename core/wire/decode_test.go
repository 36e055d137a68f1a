package wire_test

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/core/wire/wiretest"
)

// TestDecodeReadsWhatEncoderWrites: the steps that a receiver gathers lead from one
// version to the next, and a follower that applies them has the same tokens.
func TestDecodeReadsWhatEncoderWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := wire.Limits{Rows: rapid.IntRange(1, 7).Draw(t, "rows"), Bytes: rapid.IntRange(wire.MinBytes, 3*wire.MinBytes).Draw(t, "bytes")}
		rig := wiretest.New(t, "things")
		draw := func(label string) []wiretest.Item {
			return rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) wiretest.Item {
				return wiretest.Item{ID: rapid.IntRange(1, 40).Draw(t, "id"), Name: rapid.String().Draw(t, "name")}
			}), 0, 20, func(it wiretest.Item) int { return it.ID }).Draw(t, label)
		}
		rig.Tables["things"].Put(draw("before")...)
		rig.Start()
		defer rig.Stop()
		v := rig.Bindings["things"].View
		enc := wire.NewReplicaEncoder(limits)
		view, pub := live.New(live.Options{Name: "things"})
		var print *live.Fingerprint
		var gather wire.Gatherer
		follow := func() {
			raw, err := enc.Since(v, view.Version().Token)
			if err != nil {
				t.Fatalf("Since: %v", err)
			}
			var step *wire.Step
			for i, b := range raw {
				m, err := wire.Decode(b)
				if err != nil || m.Event != "things" || m.Modified.IsZero() {
					t.Fatalf("%s: %+v, %v", b, m, err)
				}
				if n := len(m.Rows); n > limits.Rows || n > 1 && len(b) > limits.Bytes+2048 {
					t.Fatalf("a message of %d rows and %d bytes, the limits are %+v", n, len(b), limits)
				}
				if step, err = gather.Add(m, len(b), view.Version().Token); err != nil || (step != nil) != (i == len(raw)-1) {
					t.Fatalf("message %d of %d: %v, %v", i, len(raw), step, err)
				}
			}
			if step.Confirmed {
				return
			}
			if step.Sync {
				d := step.Messages[0].Replica.Description
				if print, err = live.ParseFingerprint(d.Fingerprint); err != nil {
					t.Fatalf("%v", err)
				}
				pub.Describe(d.Live(driver.Table{Name: "things"}))
			}
			edit := pub.Edit(print, step.Sync)
			for _, m := range step.Messages {
				for i, row := range m.Rows {
					key := m.Replica.Keys[i]
					if m.Action == wire.Delete {
						edit.Take(key)
						continue
					}
					place := string(key)
					if m.Replica.OrderKeys != nil {
						place = m.Replica.OrderKeys[i]
					}
					edit.Put(print.Row(live.Content{Key: key, OrderKey: place, JSON: row}, live.Row{}, m.Modified))
				}
			}
			pub.Publish(edit, step.Last().Modified)
			if got := view.Version().Token; got != rig.Token("things") || got != step.Last().Version {
				t.Fatalf("the follower is at %s, the origin at %s", got, rig.Token("things"))
			}
			if !slices.Equal(view.Schema().Key, v.Schema().Key) || !slices.Equal(view.OrderFields(), v.OrderFields()) {
				t.Fatalf("described as %+v", view.Description())
			}
		}
		follow()
		rig.Put("things", draw("after")...)
		if ids := rapid.SliceOfDistinct(rapid.IntRange(1, 40), rapid.ID[int]).Draw(t, "gone"); len(ids) > 0 {
			rig.Delete("things", ids...)
		}
		follow()
	})
}

func TestDecodeRefuses(t *testing.T) {
	for raw, want := range map[string]string{
		``:                                "no JSON object",
		`[]`:                              "no JSON object",
		`{`:                               "no JSON object",
		`{"a":1}{}`:                       "follows",
		`{}`:                              "no action",
		`{"action":7}`:                    `"action" is of the wrong type`,
		`{"action":"sync","payload":[]}`:  "without a version",
		`{"action":"sync","version":"v"}`: "no list",
		`{"action":"create","version":"v","payload":7}`:                                       "no list",
		`{"action":"create","version":"v","payload":[null]}`:                                  "no object",
		`{"action":"create","version":"v","payload":["x"]}`:                                   "no object",
		`{"action":"create","version":"v","payload":"ok"}`:                                    "no list",
		`{"action":"sync","version":"v","payload":[],"page":-1}`:                              "negative",
		`{"action":"sync","version":"v","payload":[],"page":1.5}`:                             "wrong type",
		`{"action":"sync","version":"v","payload":[],"params":7}`:                             "params",
		`{"action":"sync","version":"v","payload":[],"order":7}`:                              "order",
		`{"action":"sync","version":"v","payload":[],"last_modified":"now"}`:                  "last_modified",
		`{"action":"error","payload":7}`:                                                      "problem document",
		`{"action":"error"}`:                                                                  "problem document",
		`{"action":"create","version":"v","payload":[{}],"keys":[]}`:                          "0 keys belong to 1 rows",
		`{"action":"create","version":"v","payload":[{}],"keys":["="]}`:                       "no base64",
		`{"action":"create","version":"v","payload":[{}],"keys":["AA"],"places":["AA","AA"]}`: "2 places belong to 1 rows",
		`{"action":"sync","version":"v","payload":[],"keys":[],"replica":{}}`:                 "fingerprint",
		`{"action":"sync","version":"v","payload":[],"keys":[],"replica":{"fingerprint":"AAAAAAAAAAAAAAAAAAAAAA","columns":[{"name":"id","kind":"odd"}],"key":["id"]}}`: "unknown kind",
	} {
		_, err := wire.Decode([]byte(raw))
		var bad *wire.MalformedError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", raw, err, want)
		}
	}
}

func TestDecodeIgnoresWhatItDoesNotKnow(t *testing.T) {
	m, err := wire.Decode([]byte(`{"later":[{}],"Action":"x","action":"later","payload":7,"mark":"m","params":null,"version":null}`))
	if err != nil || m.Action != "later" || m.Mark != "m" || m.Params != nil {
		t.Errorf("%+v, %v", m, err)
	}
	m, err = wire.Decode([]byte(`{"event":"p","action":"error","payload":{"type":"urn:x","title":"No","status":403,"detail":"d"}}`))
	if err != nil || m.Problem.Error() != "403 No: d" {
		t.Errorf("%+v, %v", m, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"event":"products","action":"sync","payload":[{"id":1}],"page":1,"pages":1,"order":["id"],"version":"v","last_modified":"2026-11-25T12:00:00Z","more":true}`))
	f.Add([]byte(`{"event":"p","params":{"a":1},"action":"delete","payload":[{"id":7}],"version":"v","keys":["AQ"],"places":["AQ"],"replica":{"fingerprint":"AAAAAAAAAAAAAAAAAAAAAA","columns":[{"name":"id","kind":"integer"}],"key":["id"]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := wire.Decode(raw)
		if err != nil {
			var bad *wire.MalformedError
			if !errors.As(err, &bad) {
				t.Fatalf("%T", err)
			}
			return
		}
		if !json.Valid(raw) {
			t.Fatal("no JSON was accepted")
		}
		if m.Replica != nil && (len(m.Replica.Keys) != len(m.Rows) || m.Replica.OrderKeys != nil && len(m.Replica.OrderKeys) != len(m.Rows)) {
			t.Fatalf("%d rows with %+v", len(m.Rows), m.Replica)
		}
		var g wire.Gatherer
		if step, err := g.Add(m, len(raw), m.Version); err == nil && step != nil && step.Last().Version != m.Version {
			t.Fatal("another version")
		}
	})
}

func TestGathererRefuses(t *testing.T) {
	page := func(n int, more bool) wire.Received {
		return wire.Received{Action: wire.Sync, Page: n, Version: "v", More: more}
	}
	create := func(version string, more bool) wire.Received {
		return wire.Received{Action: wire.Create, Version: version, More: more}
	}
	for name, c := range map[string]struct {
		from string
		max  int
		list []wire.Received
		want string
	}{
		"a page is missing":        {"", 0, []wire.Received{page(1, true), page(3, false)}, "page 1 is followed by page 3"},
		"no first page":            {"", 0, []wire.Received{page(2, false)}, "begins with page 2"},
		"changes of nothing":       {"", 0, []wire.Received{create("v", false)}, "before any sync"},
		"two versions":             {"u", 0, []wire.Received{create("v", true), create("w", false)}, "two versions"},
		"a change in a sync":       {"u", 0, []wire.Received{page(1, true), create("v", false)}, "a sync and changes"},
		"ok for another":           {"u", 0, []wire.Received{{Action: wire.Sync, Current: true, Version: "v"}}, "not held"},
		"what belongs to no batch": {"u", 0, []wire.Received{{Action: wire.Leave}}, "no batch"},
		"too long":                 {"u", 25, []wire.Received{create("v", true), create("v", true), create("v", false)}, "longer than 25"},
	} {
		g := wire.Gatherer{MaxBytes: c.max}
		for i, m := range c.list {
			step, err := g.Add(m, 10, c.from)
			if i < len(c.list)-1 {
				if step != nil || err != nil {
					t.Errorf("%s: %v, %v", name, step, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if step, err := g.Add(page(1, false), 10, c.from); err != nil || step == nil || !step.Sync || len(step.Messages) != 1 {
			t.Errorf("%s: a sync afterwards: %v, %v", name, step, err)
		}
	}
}

const stream = "\xef\xbb\xbf: hello\nretry: 20\n\nevent: sync\r\nid: v1\rdata: a\ndata:b\ndata\n\n:\nid: v\x002\ndata:  c\n\nnonsense\nevent: lost\ndata: half"

func TestEventReader(t *testing.T) {
	for name, r := range map[string]io.Reader{"whole": strings.NewReader(stream), "in bytes": iotest.OneByteReader(strings.NewReader(stream))} {
		comments := 0
		e := wire.NewEventReader(r, 100)
		one, err := e.Next(func() { comments++ })
		if err != nil || one.Name != "sync" || string(one.Data) != "a\nb\n" || one.ID != "v1" || comments != 1 || e.Retry() != 20*time.Millisecond {
			t.Errorf("%s: %+v %q, %v", name, one, one.Data, err)
		}
		two, err := e.Next(nil)
		if err != nil || two.Name != "" || string(two.Data) != " c" || two.ID != "v1" {
			t.Errorf("%s: %+v, %v", name, two, err)
		}
		if _, err := e.Next(nil); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := wire.NewEventReader(strings.NewReader("data: "+strings.Repeat("x", 100)+"\n\n"), 100).Next(nil); !errors.Is(err, wire.ErrEventTooLong) {
		t.Errorf("a long line: %v", err)
	}
	if _, err := wire.NewEventReader(strings.NewReader(strings.Repeat("data: xxxx\n", 100)), 100).Next(nil); !errors.Is(err, wire.ErrEventTooLong) {
		t.Errorf("many lines: %v", err)
	}
}

func FuzzEventReader(f *testing.F) {
	f.Add([]byte(stream))
	f.Fuzz(func(t *testing.T, raw []byte) {
		read := func(r io.Reader) (all []string) {
			e := wire.NewEventReader(r, 1<<10)
			for {
				ev, err := e.Next(nil)
				if err != nil {
					return append(all, err.Error())
				}
				if len(ev.Data) > 1<<10 || strings.Contains(ev.ID, "\x00") {
					t.Fatalf("%+v", ev)
				}
				all = append(all, ev.Name+" "+ev.ID+" "+string(ev.Data))
			}
		}
		whole, pieces := read(strings.NewReader(string(raw))), read(iotest.OneByteReader(strings.NewReader(string(raw))))
		if !slices.Equal(whole, pieces) {
			t.Fatalf("%q in pieces is %q", whole, pieces)
		}
	})
}
