package live_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

var print = live.NewFingerprint("things")

// state is what a view should hold: texts by id.
type state map[int]string

// row makes the row of an id. Rows stand in the order of their texts.
func row(id int, text string, before live.Row, now time.Time) live.Row {
	key := driver.KeyOf(id)
	return print.Row(live.Content{
		Key: key, OrderKey: text + "\x00" + string(key), JSON: fmt.Appendf(nil, `{"id":%d,"text":%q}`, id, text), Value: &text,
	}, before, now)
}

// put makes the edit hold the state.
func (s state) put(e *live.Edit, now time.Time) {
	var gone []driver.Key
	e.Each(func(r live.Row) bool {
		if _, ok := s[idOf(r)]; !ok {
			gone = append(gone, r.Key())
		}
		return true
	})
	for _, k := range gone {
		e.Take(k)
	}
	for _, id := range slices.Sorted(maps.Keys(s)) {
		old, _ := e.Get(driver.KeyOf(id))
		e.Put(row(id, s[id], old, now))
	}
}

func (s state) shown() string {
	var rows []string
	for id, text := range s {
		rows = append(rows, fmt.Sprintf("%s\x00%05d\x00%s", text, id, fmt.Sprintf(`{"id":%d,"text":%q}`, id, text)))
	}
	slices.Sort(rows)
	for i, r := range rows {
		rows[i] = r[strings.LastIndex(r, "\x00")+1:]
	}
	return "[" + strings.Join(rows, ",") + "]\n"
}

func idOf(r live.Row) int {
	vals, _ := r.Key().Values()
	var id int
	_, _ = fmt.Sscan(vals[0].String(), &id)
	return id
}

// follower applies events as a client does.
type follower struct {
	sub   *live.Subscription
	rows  map[driver.Key]string
	token string
	known bool
}

func (f *follower) follow(t *rapid.T) {
	for {
		e, err := f.sub.Poll()
		if err != nil {
			t.Fatal(err)
		}
		if e == nil {
			return
		}
		switch e.Kind {
		case live.Synced:
			f.rows = make(map[driver.Key]string)
			for r := range e.Snapshot.Rows() {
				f.rows[r.Key()] = string(r.JSON())
			}
		default:
			if !f.known || e.From != f.token {
				t.Fatalf("an event from %q to who holds %q (%v)", e.From, f.token, f.known)
			}
			for _, r := range e.Deleted {
				if _, ok := f.rows[r.Key()]; !ok {
					t.Fatalf("%s is deleted and was not there", r.Key())
				}
				delete(f.rows, r.Key())
			}
			for _, r := range e.Created {
				if _, ok := f.rows[r.Key()]; ok {
					t.Fatalf("%s is created and was there", r.Key())
				}
				f.rows[r.Key()] = string(r.JSON())
			}
			for _, r := range e.Updated {
				if _, ok := f.rows[r.Key()]; !ok {
					t.Fatalf("%s is updated and was not there", r.Key())
				}
				f.rows[r.Key()] = string(r.JSON())
			}
		}
		f.token, f.known = e.Version.Token, true
	}
}

// ledger is an account.
type ledger struct {
	mu    sync.Mutex
	bytes [live.Kinds]int
	looks int
}

func (l *ledger) Add(k live.Kind, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes[k] += n
}

func (l *ledger) Looked() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looks++
}

// TestPublisher publishes without a feed: readers see the plain model, and
// subscribers who lag, resume, or hold what the log has forgotten end up with it.
func TestPublisher(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		account := &ledger{}
		view, pub := live.New(live.Options{Name: "things", LogEvents: rapid.IntRange(0, 6).Draw(t, "log"), LogBytes: rapid.SampledFrom([]int{200, 2000, 1 << 20}).Draw(t, "bytes"), Account: account})
		now := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
		var want state
		tokens := make(map[string]string) // by what is shown
		var followers []*follower
		check := func() {
			snap := view.Snapshot()
			if want == nil {
				if snap != nil || view.Version() != (live.Version{}) || view.Len() != 0 {
					t.Fatal("rows before the first load")
				}
				return
			}
			shown := want.shown()
			if got := string(snap.Body()); got != shown {
				t.Fatalf("shows %s, want %s", got, shown)
			}
			bytes := 0
			for r := range snap.Rows() {
				bytes += len(r.JSON())
			}
			if snap.Bytes() != bytes || snap.Len() != len(want) {
				t.Fatalf("%d rows of %d bytes, want %d of %d", snap.Len(), snap.Bytes(), len(want), bytes)
			}
			token := snap.Version().Token
			if before, ok := tokens[shown]; ok && before != token {
				t.Fatal("the same rows have two tokens")
			}
			if n := account.bytes[live.Encodings]; n < bytes || n > 2*bytes {
				t.Fatalf("the account has %d bytes of encodings, want %d", n, bytes)
			}
			if n := account.bytes[live.Bodies]; n < len(shown) {
				t.Fatalf("the account has %d bytes of bodies, want %d", n, len(shown))
			}
			tokens[shown] = token
			for other, tok := range tokens {
				if other != shown && tok == token {
					t.Fatal("different rows have one token")
				}
			}
		}
		settle := func(f *follower) {
			f.follow(t)
			if want == nil {
				return
			}
			if f.token != view.Version().Token || len(f.rows) != len(want) {
				t.Fatalf("a follower holds %d rows at %q, want %d at %q", len(f.rows), f.token, len(want), view.Version().Token)
			}
			for r := range view.Snapshot().Rows() {
				if f.rows[r.Key()] != string(r.JSON()) {
					t.Fatalf("a follower holds %s as %s, want %s", r.Key(), f.rows[r.Key()], r.JSON())
				}
			}
		}
		publish := func(anew bool) {
			now = now.Add(time.Duration(rapid.IntRange(-1, 3).Draw(t, "seconds")) * time.Second)
			next := make(state)
			maps.Copy(next, want)
			for range rapid.IntRange(0, 12).Draw(t, "changes") {
				id := rapid.IntRange(1, 12).Draw(t, "id")
				if rapid.Bool().Draw(t, "delete") {
					delete(next, id)
				} else {
					next[id] = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "text")
				}
			}
			before := view.Version()
			edit := pub.Edit(print, anew)
			next.put(edit, now)
			event, ok := pub.Publish(edit, now)
			if !ok {
				t.Fatal("not published")
			}
			first := want == nil
			same := !first && next.shown() == want.shown()
			want = next
			v := view.Version()
			switch {
			case first || anew:
				if event == nil || event.Kind != live.Synced {
					t.Fatalf("event %+v, want a sync", event)
				}
			case same:
				if event != nil || v != before {
					t.Fatalf("event %+v and version %v, want none and %v", event, v, before)
				}
			case event == nil || event.Kind != live.Changed || event.From != before.Token || event.Version != v || v.Seq != before.Seq+1:
				t.Fatalf("event %+v from %v to %v", event, before, v)
			}
			if v.Modified.Before(before.Modified) {
				t.Fatal("the time of change runs backwards")
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { check() },
			"publish": func(*rapid.T) {
				for range rapid.IntRange(1, 4).Draw(t, "versions") {
					publish(false)
				}
			},
			"anew": func(*rapid.T) { publish(true) },
			"drop": func(*rapid.T) { // an edit that is not published leaves no trace
				if want == nil {
					return
				}
				edit := pub.Edit(print, rapid.Bool().Draw(t, "anew"))
				edit.Put(row(99, "x", live.Row{}, now))
			},
			"touch": func(*rapid.T) {
				before := view.Version()
				e, err := pub.Touch(now)
				if want == nil {
					if !errors.Is(err, live.ErrNotLoaded) {
						t.Fatal(err)
					}
					return
				}
				if err != nil || e.Kind != live.Confirmed || view.Version().Token != before.Token || view.Version().Seq != before.Seq+1 {
					t.Fatalf("%+v %v, from %v to %v", e, err, before, view.Version())
				}
			},
			"follow": func(*rapid.T) {
				f := &follower{}
				if len(followers) > 0 && rapid.Bool().Draw(t, "resume") { // as a client that comes back
					old := followers[rapid.IntRange(0, len(followers)-1).Draw(t, "of")]
					f.rows, f.token, f.known = maps.Clone(old.rows), old.token, old.known
				}
				f.sub = view.Subscribe(live.SubscribeOptions{Version: f.token, Notify: func() {}})
				followers = append(followers, f)
			},
			"settle": func(*rapid.T) {
				if len(followers) > 0 {
					settle(followers[rapid.IntRange(0, len(followers)-1).Draw(t, "who")])
				}
			},
		})
		for _, f := range followers {
			settle(f)
		}
		if want != nil && rapid.Bool().Draw(t, "drop bodies") {
			if view.DropBodies(); account.bytes[live.Bodies] != 0 {
				t.Fatalf("the account has %d bytes of bodies that were dropped", account.bytes[live.Bodies])
			}
			check()
		}
		if n := view.Counts().Subscribers; n != len(followers) {
			t.Fatalf("%d subscribers, want %d", n, len(followers))
		}
		why := fmt.Errorf("gone: %w", live.ErrRemoved)
		pub.End(why)
		pub.End(errors.New("again"))
		<-view.Done()
		if account.bytes != [live.Kinds]int{} {
			t.Fatalf("the account of a view that has ended has %v bytes", account.bytes)
		}
		for _, f := range followers {
			if _, err := f.sub.Poll(); err != why {
				t.Fatalf("a follower is told %v", err)
			}
			f.sub.Close()
			if _, err := f.sub.Poll(); !errors.Is(err, live.ErrSubscriptionClosed) {
				t.Fatal(err)
			}
		}
		if want != nil {
			edit := pub.Edit(print, false)
			edit.Put(row(99, "x", live.Row{}, now))
			if _, ok := pub.Publish(edit, now); ok {
				t.Fatal("published after the end")
			}
			if _, err := pub.Touch(now); !errors.Is(err, live.ErrRemoved) {
				t.Fatal(err)
			}
		}
		if want != nil && string(view.Snapshot().Body()) != want.shown() {
			t.Fatal("the rows of a view that has ended are others")
		}
	})
}

// TestNumbered: where places are numbers, the order of the rows is in the token,
// and rows that change places alone are told by a sync.
func TestNumbered(t *testing.T) {
	view, pub := live.New(live.Options{Name: "things", LogEvents: 10, LogBytes: 1 << 20})
	now := time.Now()
	publish := func(shift int, ids ...int) *live.Event {
		e := pub.Edit(print, false)
		for _, id := range ids {
			e.Take(driver.KeyOf(id))
		}
		for i, id := range ids {
			var before live.Row
			if s := view.Snapshot(); s != nil {
				before, _ = s.Get(driver.KeyOf(id))
			}
			e.Put(print.Row(live.Content{Key: driver.KeyOf(id), OrderKey: string(rune('a' + shift + i)), Numbered: true, JSON: fmt.Appendf(nil, "%d", id)}, before, now))
		}
		e.MarkOrder()
		event, _ := pub.Publish(e, now)
		return event
	}
	publish(0, 1, 2, 3)
	first := view.Version().Token
	if e := publish(3, 1, 2, 3); e != nil || view.Version().Token != first {
		t.Errorf("other numbers in the same order: %+v", e)
	}
	if e := publish(0, 3, 2, 1); e == nil || e.Kind != live.Synced || view.Version().Token == first || string(view.Snapshot().Body()) != "[3,2,1]\n" {
		t.Errorf("another order: %+v, %s", e, view.Snapshot().Body())
	}
	if publish(0, 1, 2, 3); view.Version().Token != first {
		t.Error("the first order has another token now")
	}
}

// TestEndBesidePublish: the end of a view may come while the same rows are
// published once more, which share what was built for them; nothing of it stays on
// the account.
func TestEndBesidePublish(t *testing.T) {
	for range 200 {
		account := &ledger{}
		view, pub := live.New(live.Options{Name: "things", LogEvents: 10, LogBytes: 1 << 20, Account: account})
		rows := state{1: "a", 2: "b"}
		publish := func() {
			edit := pub.Edit(print, false)
			now := time.Now()
			rows.put(edit, now)
			pub.Publish(edit, now)
		}
		publish()
		view.Snapshot().Body()
		var both sync.WaitGroup
		both.Go(publish)
		both.Go(func() { pub.End(errors.New("over")) })
		both.Wait()
		if n := account.bytes[live.Bodies]; n != 0 {
			t.Fatalf("%d bytes of bodies are still counted", n)
		}
	}
}

// TestCurrent: the function of an edit sees the new snapshot before the view counts as
// loaded and before subscribers hear of it.
func TestCurrent(t *testing.T) {
	view, pub := live.New(live.Options{Name: "things", LogEvents: 10, LogBytes: 1 << 20})
	calls := 0
	publish := func(rows state) {
		edit, now := pub.Edit(print, false), time.Now()
		rows.put(edit, now)
		edit.Current(func(s *live.Snapshot) {
			calls++
			if s != view.Snapshot() {
				t.Error("the snapshot is not the view's")
			}
			select {
			case <-view.Loaded():
				if calls == 1 {
					t.Error("the view counts as loaded already")
				}
			default:
			}
		})
		pub.Publish(edit, now)
	}
	publish(state{1: "a"})
	publish(state{1: "a"})
	publish(state{1: "b"})
	if calls < 2 {
		t.Errorf("%d calls for two changes", calls)
	}
}
