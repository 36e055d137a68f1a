package backlog

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

func key(i int) driver.Key { return driver.KeyOf(i) }

// TestPendingIsBounded: beyond the bound there is just the whole table, and the
// first who reported a key is credited.
func TestPendingIsBounded(t *testing.T) {
	a, b := &Reporter{}, &Reporter{}
	p := Pending{MaxKeys: 3}
	if p.Add([]driver.Key{key(1), key(2)}, a) || p.Add([]driver.Key{key(2), key(3)}, b) {
		t.Error("three keys are too many")
	}
	if p.Credited(key(2)) != a || p.Credited(key(3)) != b || p.Credited(key(9)) != nil {
		t.Error("credited to somebody else")
	}
	other := driver.Table{Name: "other"}
	p.AddRelated(other, []driver.Key{key(7)}, b)
	taken := p.Take()
	if !p.Empty() || taken.Empty() || len(taken.Keys) != 3 || len(taken.Related[other].Keys) != 1 {
		t.Errorf("taken %+v, left %+v", taken, p)
	}
	p.Add([]driver.Key{key(4)}, b)
	p.Merge(taken)
	if !p.Whole || len(p.Keys) > 0 || p.Related[other] == nil {
		t.Errorf("four keys of at most three: %+v", p)
	}
}

// TestJournalAgainstModel: whoever has missed batches is given exactly the keys of
// these, or is told that they are not known.
func TestJournalAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const bound = 6
		j := Journal{MaxKeys: bound}
		var model [][]driver.Key // nil: everything
		for range rapid.IntRange(1, 30).Draw(t, "batches") {
			if j.Next() != uint64(len(model)) {
				t.Fatalf("batch %d comes next, want %d", j.Next(), len(model))
			}
			whole := rapid.IntRange(0, 9).Draw(t, "whole") == 0
			keys := []driver.Key{}
			for range rapid.IntRange(0, 3).Draw(t, "keys") {
				keys = append(keys, key(rapid.IntRange(0, 9).Draw(t, "key")))
			}
			j.Add(keys, whole)
			if whole {
				keys = nil
			}
			model = append(model, keys)
			since := rapid.IntRange(0, len(model)).Draw(t, "since")
			var want []driver.Key
			known, total := true, 0
			for _, keys := range model[since:] {
				known = known && keys != nil
				want = append(want, keys...)
				total += len(keys)
			}
			got, ok := j.Since(uint64(since))
			switch {
			case ok && (!known || !slices.Equal(got, want)):
				t.Fatalf("since %d: %v, want %v (known %v)", since, got, want, known)
			case !ok && known && total <= bound && len(model)-since <= bound:
				t.Fatalf("since %d: not known, though it fits", since)
			}
		}
	})
}

type row struct {
	ID int `json:"id"`
}

func member(name string) *rowset.Member {
	loader := &struct {
		*driver.Description[row]
		noLoad
	}{Description: driver.Describe[row](driver.Table{Name: "rows"}, "id")}
	return rowset.NewMember(name, nil, untyped.New[row](loader), &rowset.Spec{}, nil)
}

// TestTroublesAreHalved: members whose read fails are read together, then ever
// fewer, in the end one by one with back-off, and more again after a success.
func TestTroublesAreHalved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Troubles
		failure := errors.New("no")
		members := make([]*rowset.Member, 8)
		for i := range members {
			members[i] = member("m")
			r.Add(members[i], failure, nil, Reload{}, true, time.Now())
		}
		var sizes []int
		for range 4 {
			due := r.Take()
			sizes = append(sizes, len(due))
			r.Failed(due, failure)
			if len(r.Take()) > 0 {
				t.Fatal("read again at once")
			}
			time.Sleep(FirstBackoff)
		}
		if !slices.Equal(sizes, []int{8, 4, 2, 1}) {
			t.Errorf("read together: %v", sizes)
		}
		// The one that failed by itself waits, the others come first.
		if due := r.Take(); len(due) != 1 || due[0] == members[0] {
			t.Errorf("next is %v", due)
		}
		healed := r.Waiting[members[0]].Healed
		for _, m := range members {
			r.Remove(m)
		}
		select {
		case <-healed:
		default:
			t.Error("whoever waits for the member is not told")
		}
		if _, waiting := r.Wait(false); waiting {
			t.Error("somebody is left")
		}
	})
}

// TestTroubleWithRows: a member that has loaded, and cannot show a row, is not read
// in full; asked for, it is, at once.
func TestTroubleWithRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Troubles
		m := member("m")
		if _, ok := m.Begin(loaded(t, m), true, time.Now()).Publish(); !ok {
			t.Fatal("not loaded")
		}
		rows := &RowFailures{}
		for i := range MaxNamedRows + 2 {
			rows.Add(key(i), errors.New("broken"))
		}
		trouble := r.Add(m, rows.Err(), rows, Reload{}, false, time.Now())
		if len(r.Take()) > 0 || trouble.Full {
			t.Error("it is to be read in full")
		}
		if wait, waiting := r.Wait(true); !waiting || wait <= 0 || wait > FirstBackoff {
			t.Errorf("it waits %v, %v", wait, waiting)
		}
		if text := rows.Err().Error(); text != "rows 0, 1, 2, 3, 4, 5, 6, 7 and 2 more cannot be shown: broken" {
			t.Errorf("it says %q", text)
		}
		trouble.Ask(Reload{Forget: true})
		if due := r.Take(); len(due) != 1 || !trouble.How.Forget {
			t.Errorf("due are %v", due)
		}
		if !r.News("a") || r.News("a") {
			t.Error("a text is logged once")
		}
	})
}

// noLoad is a table that nobody reads here.
type noLoad struct{}

func (noLoad) Load(context.Context, []driver.Key) ([]*row, error) { return nil, nil }

func loaded(t *testing.T, m *rowset.Member) *rowset.Shape {
	t.Helper()
	sh, problems := m.Check()
	if len(problems) > 0 {
		t.Fatal(errors.Join(problems...))
	}
	m.Become(sh)
	return sh
}
