package wire_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/core/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func items(from, to int) []wiretest.Item {
	var list []wiretest.Item
	for id := from; id <= to; id++ {
		list = append(list, wiretest.Item{ID: id, Name: fmt.Sprintf("item %d", id)})
	}
	return list
}

func decode(t wiretest.TB, raw [][]byte) []wiretest.Message {
	t.Helper()
	out := make([]wiretest.Message, len(raw))
	for i, b := range raw {
		if err := json.Unmarshal(b, &out[i]); err != nil {
			t.Fatalf("message %s: %v", b, err)
		}
	}
	return out
}

// next polls the next event of a subscription that has one.
func next(t wiretest.TB, sub *live.Subscription) *live.Event {
	t.Helper()
	e, err := sub.Poll()
	if e == nil || err != nil {
		t.Fatalf("Poll: %v, %v", e, err)
	}
	return e
}

func TestSyncIsPaged(t *testing.T) {
	rig := wiretest.New(t, "things")
	rig.Tables["things"].Put(items(1, 25)...)
	rig.Start()
	defer rig.Stop()
	v := rig.Bindings["things"].View
	sub := v.Subscribe(live.SubscribeOptions{Notify: func() {}})
	defer sub.Close()
	msgs := decode(t, wire.Messages(v, next(t, sub), wire.Limits{Rows: 10}))
	if len(msgs) != 3 {
		t.Fatalf("%d messages", len(msgs))
	}
	for i, m := range msgs {
		if m.Event != "things" || m.Action != "sync" || m.Page != i+1 || m.Pages != 3 || m.More != (i < 2) ||
			m.Version != v.Version().Token || (i == 0) != slices.Equal(m.Order, []string{"id"}) || (i > 0) != (m.Order == nil) {
			t.Errorf("page %d: %+v", i+1, m)
		}
		at, err := time.Parse(time.RFC3339Nano, m.LastModified)
		if err != nil || !at.Equal(v.Version().Modified) || !strings.HasSuffix(m.LastModified, "Z") {
			t.Errorf("last_modified %q, %v", m.LastModified, err)
		}
	}
	if len(msgs[0].Rows()) != 10 || len(msgs[2].Rows()) != 5 {
		t.Errorf("pages of %d and %d rows", len(msgs[0].Rows()), len(msgs[2].Rows()))
	}
}

func TestEmptyBindingIsOneEmptyPage(t *testing.T) {
	rig := wiretest.New(t, "things")
	rig.Start()
	defer rig.Stop()
	raw, err := wire.NewEncoder(wire.Limits{}).Since(rig.Bindings["things"].View, "")
	if err != nil {
		t.Fatal(err)
	}
	msgs := decode(t, raw)
	if len(msgs) != 1 || msgs[0].Page != 1 || msgs[0].Pages != 1 || string(msgs[0].Payload) != "[]" || msgs[0].More {
		t.Errorf("%s", raw)
	}
}

func TestChangesAreOneBatch(t *testing.T) {
	rig := wiretest.New(t, "things")
	rig.Tables["things"].Put(items(1, 3)...)
	rig.Start()
	defer rig.Stop()
	v := rig.Bindings["things"].View
	enc := wire.NewEncoder(wire.Limits{})
	before := rig.Token("things")
	changes := rig.Tables["things"].Put(wiretest.Item{ID: 2, Name: "new name"}, wiretest.Item{ID: 9, Name: "nine"})
	gone := rig.Tables["things"].Remove(driver.KeyOf(1))
	if err := rig.Source.Report(t.Context(), changes, gone); err != nil {
		t.Fatal(err)
	}
	raw, err := enc.Since(v, before)
	if err != nil {
		t.Fatal(err)
	}
	msgs := decode(t, raw)
	var got []string
	for _, m := range msgs {
		got = append(got, fmt.Sprintf("%s %s %t", m.Action, m.Payload, m.More))
		if m.Version != rig.Token("things") || m.Page != 0 || m.Order != nil {
			t.Errorf("%+v", m)
		}
	}
	want := []string{
		`create [{"id":9,"name":"nine"}] true`,
		`update [{"id":2,"name":"new name"}] true`,
		`delete [{"id":1}] false`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}

	raw, err = enc.Since(v, rig.Token("things")+"-gzip")
	if err != nil {
		t.Fatal(err)
	}
	if msgs := decode(t, raw); len(msgs) != 1 || string(msgs[0].Payload) != `"ok"` || msgs[0].Version != rig.Token("things") {
		t.Errorf("current: %s", raw)
	}
}

func TestFramesAreShared(t *testing.T) {
	rig := wiretest.New(t, "things")
	rig.Tables["things"].Put(items(1, 3)...)
	rig.Start()
	defer rig.Stop()
	v := rig.Bindings["things"].View
	subs := []*live.Subscription{v.Subscribe(live.SubscribeOptions{Notify: func() {}}), v.Subscribe(live.SubscribeOptions{Notify: func() {}})}
	for range 2 {
		var frames []*byte
		for _, s := range subs {
			frames = append(frames, &wire.NewEncoder(wire.Limits{}).Batch(v, next(t, s)).Message(0).JSON[0])
		}
		if frames[0] != frames[1] {
			t.Error("two clients got frames of their own")
		}
		rig.Put("things", wiretest.Item{ID: 4, Name: "four"})
	}
	for _, s := range subs {
		s.Close()
	}
}

func TestPage(t *testing.T) {
	rig := wiretest.New(t, "things")
	rig.Tables["things"].Put(items(1, 5)...)
	v := rig.Bindings["things"].View
	enc := wire.NewEncoder(wire.Limits{Rows: 2})
	if _, err := enc.Page(v, 1); !errors.Is(err, live.ErrNotLoaded) {
		t.Errorf("before the load: %v", err)
	}
	rig.Start()
	defer rig.Stop()
	for page, want := range map[int]string{
		1: `[{"id":1,"name":"item 1"},{"id":2,"name":"item 2"}]`,
		3: `[{"id":5,"name":"item 5"}]`,
		4: `[]`,
		9: `[]`,
	} {
		m, err := enc.Page(v, page)
		if err != nil {
			t.Fatal(err)
		}
		got := decode(t, [][]byte{m.JSON})[0]
		if got.Action != "page" || got.Page != page || got.Pages != 3 || string(got.Payload) != want || got.More || got.Version != rig.Token("things") {
			t.Errorf("page %d: %s", page, m.JSON)
		}
	}
}

func TestErrorAndLeave(t *testing.T) {
	if got := string(wire.LeaveMessage(wire.Subject{Binding: `a"b`}).JSON); got != `{"event":"a\"b","action":"leave"}` {
		t.Error(got)
	}
	for _, name := range []string{"", "things"} {
		m := decode(t, [][]byte{wire.ErrorMessage(wire.Subject{Binding: name}, []byte(`{"type":"urn:x","title":"X","status":404}`)).JSON})[0]
		if m.Event != name || m.Action != "error" || m.Problem() != "urn:x" {
			t.Errorf("%+v", m)
		}
	}
	if strings.Contains(string(wire.ErrorMessage(wire.Subject{}, []byte("{}")).JSON), `"event"`) {
		t.Error("an error about no binding bears an event")
	}
}

func TestParseToken(t *testing.T) {
	const token = "abcdefghijklmnopqrst-_"
	for in, want := range map[string]string{
		token:                      token,
		token + "-gzip":            token,
		token + "-br":              token,
		token + "-zstd":            token,
		`"` + token + `"`:          token,
		`W/"` + token + `-gzip"`:   token,
		`"` + token:                "",
		token + "-lzma":            "",
		token[:21]:                 "",
		token[:21] + "é":           "",
		token[:21] + "!":           "",
		"":                         "",
		"W/":                       "",
		`"`:                        "",
		strings.Repeat("a", 1<<16): "",
	} {
		if got := wire.ParseToken(in); got != want {
			t.Errorf("%.40q: %q, want %q", in, got, want)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(`W/"abcdefghijklmnopqrstuv-br"`)
	f.Fuzz(func(t *testing.T, s string) {
		got := wire.ParseToken(s)
		if got != "" && (len(got) != live.TokenLength || wire.ParseToken(got) != got || !strings.Contains(s, got)) {
			t.Errorf("%q: %q", s, got)
		}
	})
}

func TestLimits(t *testing.T) {
	if err := (wire.Limits{Rows: -1, Bytes: 1}).Validate(); err == nil || len(strings.Split(err.Error(), "\n")) != 2 {
		t.Errorf("bad limits: %v", err)
	}
	if err := (wire.Limits{}).Validate(); err != nil {
		t.Error(err)
	}
}

// TestBatchesKeepToTheirLimits: whatever the rows and limits, the messages of
// any two versions lead a client from one to the other, no message is longer or
// has more rows than allowed, and all but the last say that more follow.
func TestBatchesKeepToTheirLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := wire.Limits{Rows: rapid.IntRange(1, 7).Draw(t, "rows"), Bytes: rapid.IntRange(wire.MinBytes, 3*wire.MinBytes).Draw(t, "bytes")}
		rig := wiretest.New(t, "things")
		draw := func(label string) []wiretest.Item {
			return rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) wiretest.Item {
				return wiretest.Item{
					ID:   rapid.IntRange(1, 40).Draw(t, "id"),
					Name: rapid.String().Draw(t, "name"),
					Note: strings.Repeat("n", rapid.IntRange(0, 2*wire.MinBytes).Draw(t, "note")),
				}
			}), 0, 30, func(it wiretest.Item) int { return it.ID }).Draw(t, label)
		}
		rig.Tables["things"].Put(draw("before")...)
		rig.Start()
		defer rig.Stop()
		v := rig.Bindings["things"].View
		enc := wire.NewEncoder(limits)
		c := &wiretest.Client{}
		follow := func() {
			raw, err := enc.Since(v, c.Version)
			if err != nil {
				t.Fatalf("Since: %v", err)
			}
			for i, m := range decode(t, raw) {
				if n := len(m.Rows()); n > limits.Rows || n > 1 && len(raw[i]) > limits.Bytes {
					t.Fatalf("a message of %d rows and %d bytes, the limits are %+v", n, len(raw[i]), limits)
				}
				if m.More != (i < len(raw)-1) {
					t.Fatalf("message %d of %d says more: %t", i, len(raw), m.More)
				}
				if strings.ContainsAny(string(raw[i]), "\r\n") {
					t.Fatalf("a line break in %q", raw[i])
				}
				if err := c.Take(m); err != nil {
					t.Fatalf("%v", err)
				}
			}
			rig.Check(c)
			if c.Version != rig.Token("things") {
				t.Fatalf("led to %s, not %s", c.Version, rig.Token("things"))
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

// TestFraming: framed messages are the bare ones in their frames, and do not take
// their place.
func TestFraming(t *testing.T) {
	rig := wiretest.New(t, "things")
	rig.Tables["things"].Put(items(1, 5)...)
	rig.Start()
	defer rig.Stop()
	v := rig.Bindings["things"].View
	limits := wire.Limits{Rows: 2, Bytes: wire.MinBytes}
	framed := wire.NewFramedEncoder(limits, wire.Framing{Before: "42[", Between: ",", After: "]"})
	check := func(bare, got string) {
		t.Helper()
		if want := `42["things",` + bare + `]`; got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	compare := func(token string) {
		t.Helper()
		for range 2 { // also when they are shared
			want, err := wire.NewEncoder(limits).Since(v, token)
			if err != nil {
				t.Fatal(err)
			}
			got, err := framed.Since(v, token)
			if err != nil || len(got) != len(want) {
				t.Fatalf("%d messages, want %d: %v", len(got), len(want), err)
			}
			for i := range want {
				check(string(want[i]), string(got[i]))
			}
		}
	}
	before := rig.Token("things")
	compare("")
	compare(before)
	rig.Put("things", items(3, 9)...)
	rig.Delete("things", 1)
	compare(before)
	for page := 1; page < 6; page++ {
		want, err1 := wire.NewEncoder(limits).Page(v, page)
		got, err2 := framed.Page(v, page)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		check(string(want.JSON), string(got.JSON))
	}
	s := wire.Subject{Binding: "things"}
	check(string(wire.LeaveMessage(s).JSON), string(framed.Frame(s, wire.LeaveMessage(s)).JSON))
	if got := wire.NewEncoder(limits).Frame(s, wire.LeaveMessage(s)); string(got.JSON) != string(wire.LeaveMessage(s).JSON) {
		t.Errorf("without a frame: %s", got.JSON)
	}
}
