package core_test

import (
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// Who lags is not told of what it has, nor that nothing is new.
func TestMergedEventsLeaveOutWhatIsHeld(t *testing.T) {
	r := newItems(t, core.Config{})
	a, b := item{ID: 1, Name: "a", Price: 1}, item{ID: 2, Name: "b", Price: 2}
	r.table.Put(a, b)
	bound := core.Bind("items", r.table)
	r.start(t, bound)
	defer r.stop(t)
	sub := bound.Subscribe(live.SubscribeOptions{Notify: func() {}})
	defer sub.Close()
	poll := func() *live.Event {
		t.Helper()
		e, err := sub.Poll()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	put := func(c driver.Change) {
		t.Helper()
		if err := r.source.Report(r.ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	poll()
	version := bound.Version().Token
	other := a
	other.Name = "other"

	put(r.table.Put(other))
	put(r.table.Put(a, item{ID: 3, Name: "new"}))
	if e := poll(); e == nil || e.Len() != 1 || len(e.Created) != 1 || e.Created[0].Key() != key(3) {
		t.Errorf("changed and changed back beside a new row: %+v", e)
	}
	put(r.table.Put(other))
	put(r.table.Remove(key(3)))
	put(r.table.Put(a))
	if e := poll(); e == nil || e.Len() != 1 || len(e.Deleted) != 1 {
		t.Errorf("changed and changed back beside a row that went: %+v", e)
	}
	if bound.Version().Token != version {
		t.Fatal("the content is not what it was")
	}
	put(r.table.Remove(key(2)))
	put(r.table.Put(b))
	if e := poll(); e != nil {
		t.Errorf("went and came back, and nobody has asked: %+v", e)
	}
	put(r.table.Put(other))
	if e := poll(); e == nil || len(e.Updated) != 1 {
		t.Errorf("after what was not told: %+v", e)
	}
	put(r.table.Put(a))
	if e := poll(); e == nil || e.Len() != 1 {
		t.Errorf("changed back: %+v", e)
	}
	// Who asks is told.
	resumed := bound.Subscribe(live.SubscribeOptions{Version: version, Notify: func() {}})
	defer resumed.Close()
	if e, err := resumed.Poll(); err != nil || e == nil || e.Kind != live.Confirmed {
		t.Errorf("resuming: %+v, %v", e, err)
	}
	put(r.table.Put(other))
	put(r.table.Put(a))
	if err := bound.Touch(); err != nil {
		t.Fatal(err)
	}
	if err := r.reg.Flush(r.ctx); err != nil {
		t.Fatal(err)
	}
	if e := poll(); e == nil || e.Kind != live.Confirmed {
		t.Errorf("a touch is told: %+v", e)
	}
}

// The order is told where what rows show compares as the database's values do.
func TestOrderIsToldWhereClientsCanCompare(t *testing.T) {
	type shown struct {
		ID     int       `json:"id"`
		Name   string    `json:"name"`
		Price  float64   `json:"price"`
		Quoted int       `json:"quoted,string"`
		Bytes  []byte    `json:"bytes"`
		Word   word      `json:"word"`
		Maybe  *int      `json:"maybe"`
		Note   *string   `json:"note"`
		Live   bool      `json:"live"`
		Small  float32   `json:"small"`
		At     time.Time `json:"at"`
	}
	for name, c := range map[string]struct {
		order core.Option
		want  bool
	}{
		"key":               {core.OrderBy("id"), true},
		"text, number":      {core.OrderBy("name", "-price"), true},
		"booleans":          {core.OrderBy("-live", "small"), true},
		"numbers in quotes": {core.OrderBy("quoted"), false},
		"times":             {core.OrderBy("-at"), true},
		"bytes":             {core.OrderBy("bytes"), false},
		"words for numbers": {core.OrderBy("word"), false},
		"NULLs lowest":      {core.OrderBy("maybe", "-note"), true},
		"NULLs first":       {core.Ordered(driver.Order{Column: "maybe", Nulls: driver.NullsFirst}), true},
		"NULLs last, down":  {core.Ordered(driver.Order{Column: "maybe", Desc: true, Nulls: driver.NullsLast}), true},
		"NULLs last":        {core.Ordered(driver.Order{Column: "maybe", Nulls: driver.NullsLast}), false},
		"NULLs first, down": {core.Ordered(driver.Order{Column: "note", Desc: true, Nulls: driver.NullsFirst}), false},
	} {
		table := coretest.NewTable[shown]("shown", "id")
		reg := core.Config{}.NewRegistry()
		b := core.Bind("shown", table, c.order)
		if err := reg.Add(b); err != nil {
			t.Fatal(err)
		}
		if err := reg.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := b.OrderFields(); (got != nil) != c.want {
			t.Errorf("%s: %q", name, got)
		}
		if err := reg.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// word is a number that is shown as a word.
type word int

func (w word) MarshalText() ([]byte, error) { return []byte("w"), nil }

// A state has begun when its oldest cause did, whatever comes beside it.
func TestStaleSinceTheFirstCause(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	later := func() time.Time { mu.Lock(); defer mu.Unlock(); now = now.Add(time.Minute); return now }
	table := coretest.NewTable[item]("items", "id")
	one, other := &coretest.Source{}, &coretest.Source{}
	reg := core.Config{Now: clock, Logger: slog.New(slog.DiscardHandler)}.NewRegistry()
	b := core.Bind("items", table)
	if err := errors.Join(reg.Add(b), reg.Watch(one, other), reg.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	defer reg.Shutdown(t.Context())
	<-b.Loaded()
	began := later()
	one.Sink().Lost(errors.New("the first cause"))
	later()
	other.Sink().Lost(errors.New("another"))
	if st := b.Status(); !st.Since.Equal(began) || st.Err == nil || st.Err.Error() != "the first cause" {
		t.Errorf("since %v (%v), want %v", st.Since, st.Err, began)
	}
}
