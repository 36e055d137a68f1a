package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/internal/session"
)

func (r *rig) mark(t wiretest.TB) string {
	t.Helper()
	mark, err := r.Reg.Mark(context.Background())
	if err != nil {
		t.Fatalf("Mark: %v", err)
	}
	return mark
}

func asked(event, mark string) string { return fmt.Sprintf(`{"event":%q,"mark":%q}`, event, mark) }

// However writes, messages and questions mix, what was sent before a mark is answered
// includes what was committed before it was made, and every mark is answered.
func TestMarksInTheirPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t, wire.Limits{Rows: 2}, 10, "things")
		defer r.stop()
		r.ask(`{"event":"things"}`)
		c := &carrier{t: t}
		r.session.Attach(c)
		client := &wiretest.Client{}
		open := map[string]map[int]wiretest.Item{} // what each mark promises, until it is answered
		held := map[int]wiretest.Item{}
		take := func() {
			m := decode(t, c.take(&r.session))
			if m.Action != "mark" {
				if err := client.Take(m); err != nil {
					t.Fatalf("%v", err)
				}
				return
			}
			promised, ok := open[m.Mark]
			delete(open, m.Mark)
			if !ok || m.Event != "things" || m.Version != client.Version || m.LastModified == "" {
				t.Fatalf("answer %+v, of which %t is known; the client holds %s", m, ok, client.Version)
			}
			for id, it := range promised {
				if got := client.Rows[id]; got.Name < it.Name {
					t.Fatalf("the mark is answered, but row %d is %+v, and was %+v before it", id, got, it)
				}
			}
		}
		n := 0
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1: // several rows, so that a batch takes several messages
				n++
				var rows []wiretest.Item
				for id := range rapid.IntRange(1, 5).Draw(t, "rows") {
					rows = append(rows, wiretest.Item{ID: id, Name: fmt.Sprintf("%06d", n)})
					held[id] = rows[id]
				}
				r.Put("things", rows...)
			case 2:
				mark := r.mark(t)
				open[mark] = map[int]wiretest.Item{}
				for id, it := range held {
					open[mark][id] = it
				}
				r.ask(asked("things", mark))
			case 3:
				r.ask(`{"event":"things","version":"` + client.Version + `"}`)
			case 4:
				if _, ok := c.given(); ok {
					take()
				}
			}
		}
		for len(open) > 0 || client.Version != r.Token("things") {
			take()
		}
	})
}

// What cannot be answered is refused, and bears the mark.
func TestMarksRefused(t *testing.T) {
	r, other := newRig(t, wire.Limits{}, 10, "a", "b"), newRig(t, wire.Limits{}, 10, "a")
	defer r.stop()
	defer other.stop()
	c := &carrier{t: t}
	r.session.Attach(c)
	r.ask(`{"event":"a"}`)
	c.take(&r.session)
	own, foreign := r.mark(t), other.mark(t)
	for request, want := range map[string]string{
		asked("b", own):             "urn:bindery:problem:not-joined",
		asked("nothing", own):       "urn:bindery:problem:not-joined",
		asked("a", "x"):             "urn:bindery:problem:malformed-mark",
		asked("a", ""):              "urn:bindery:problem:malformed-mark",
		asked("a", foreign):         "urn:bindery:problem:foreign-mark",
		`{"event":"a","mark":7}`:    "urn:bindery:problem:malformed-message",
		`{"mark":"` + own + `"}`:    "urn:bindery:problem:malformed-message",
		`{"event":"a","mark":null}`: "", // as if it were not there
	} {
		r.ask(request)
		m := decode(t, c.take(&r.session))
		if m.Problem() != want {
			t.Errorf("%s: %+v", request, m)
		}
		var said struct{ Mark any }
		if err := json.Unmarshal([]byte(request), &said); err != nil {
			t.Fatal(err)
		}
		if sent, _ := said.Mark.(string); want != "" && want != "urn:bindery:problem:malformed-message" && m.Mark != sent {
			t.Errorf("%s: the error bears mark %q", request, m.Mark)
		}
	}
	r.ask(`{"event":"a","disconnect":true}`)
	c.take(&r.session)
	r.ask(asked("a", own))
	if m := decode(t, c.take(&r.session)); m.Problem() != "urn:bindery:problem:not-joined" {
		t.Errorf("after it was left: %+v", m)
	}
}

// The marks that a session waits for are bounded; leaving and the end of the session
// end the waiting.
func TestMarksAreBounded(t *testing.T) {
	r := newRig(t, wire.Limits{}, 10, "a", "b")
	c := &carrier{t: t}
	r.session.Attach(c)
	for _, event := range []string{"a", "b"} {
		r.ask(`{"event":"` + event + `"}`)
		c.take(&r.session)
	}
	r.Source.Sink().Lost(errors.New("blind"))
	mark := r.mark(t)
	for range session.MaxMarks {
		r.ask(asked("a", mark))
	}
	r.ask(asked("b", mark))
	if m := decode(t, c.take(&r.session)); m.Problem() != "urn:bindery:problem:too-many" || m.Event != "b" {
		t.Errorf("beyond the bound: %+v", m)
	}
	r.ask(`{"event":"a","disconnect":true}`)
	c.take(&r.session)
	r.ask(asked("b", mark))
	r.Source.Sink().Watching()
	if m := decode(t, c.take(&r.session)); m.Action != "mark" || m.Event != "b" || m.Mark != mark {
		t.Errorf("after that was left: %+v", m)
	}
	r.Source.Sink().Lost(errors.New("blind"))
	r.ask(asked("b", r.mark(t)))
	r.stop() // which finds goroutines that stay
}
