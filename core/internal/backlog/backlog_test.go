package backlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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

// TestPendingIsBoundedInBytes: keys may be long.
func TestPendingIsBoundedInBytes(t *testing.T) {
	p := Pending{MaxKeys: 1000}
	long := func(i int) []driver.Key {
		return []driver.Key{driver.KeyOf(strings.Repeat("x", 1<<20) + fmt.Sprint(i))}
	}
	for i := range 15 {
		if p.Add(long(i), nil) {
			t.Fatalf("%d MB overflow", i)
		}
	}
	if n := p.Size(); n < 15<<20 || n > maxBytes {
		t.Errorf("15 MB take %d bytes", n)
	}
	if !p.Add(long(15), nil) || !p.Whole || p.Size() != 0 {
		t.Errorf("16 MB of keys are kept: whole %v, %d bytes", p.Whole, p.Size())
	}
	p = Pending{MaxKeys: 1000}
	p.AddRelated(driver.Table{Name: "other"}, long(1), nil)
	if taken := p.Take(); p.Size() != 0 || taken.Size() < 1<<20 {
		t.Errorf("taken %d bytes, left %d", taken.Size(), p.Size())
	}
	j := Journal{MaxKeys: 1000}
	for i := range 20 {
		j.Add(uint64(i+1), Read{Keys: long(i)}, 1)
	}
	if _, known := j.Since(1, nil); known || j.Size() > maxBytes {
		t.Errorf("20 MB are remembered in %d bytes", j.Size())
	}
}

// TestJournalAgainstModel: whoever has missed batches is given exactly the keys that
// these have read for its loader, or is told that they are not known. What fits, and
// somebody may ask about, is known.
func TestJournalAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const bound = 6
		type batch struct {
			keys, compared map[driver.Key]bool
			of             map[any]map[driver.Key]bool
			whole          map[any]bool
		}
		j := Journal{MaxKeys: bound}
		loaders := []any{"a", "b"}
		var model []batch // model[i] is the batch with the number i+1
		oldest := uint64(1)
		some := func(t *rapid.T, what string) ([]driver.Key, map[driver.Key]bool) {
			set := make(map[driver.Key]bool)
			for range rapid.IntRange(0, 2).Draw(t, what) {
				set[key(rapid.IntRange(0, 9).Draw(t, "key"))] = true
			}
			return slices.Collect(maps.Keys(set)), set
		}
		for range rapid.IntRange(1, 30).Draw(t, "batches") {
			number := uint64(len(model) + 1)
			var r Read
			b := batch{of: make(map[any]map[driver.Key]bool), whole: make(map[any]bool)}
			r.Keys, b.keys = some(t, "keys")
			r.Compared, b.compared = some(t, "compared")
			r.Whole = rapid.IntRange(0, 19).Draw(t, "whole") == 0
			r.ByLoader = make(map[any]LoaderRead)
			for _, l := range loaders {
				var read LoaderRead
				read.Keys, b.of[l] = some(t, "of one loader")
				read.Whole = rapid.IntRange(0, 19).Draw(t, "all of one loader") == 0
				b.whole[l] = read.Whole || r.Whole
				r.ByLoader[l] = read
			}
			model = append(model, b)
			oldest = uint64(rapid.IntRange(int(oldest), len(model)+1).Draw(t, "oldest"))
			j.Add(number, r, oldest)
			if n := j.Size() / costOf(key(1)); n > bound {
				t.Fatalf("%d keys are remembered", n)
			}

			since := uint64(rapid.IntRange(1, len(model)+1).Draw(t, "since"))
			loader := rapid.SampledFrom(loaders).Draw(t, "loader")
			want, total, all := make(map[driver.Key]bool), 0, false
			for _, b := range model[since-1:] {
				all = all || b.whole[loader]
				maps.Copy(want, b.keys)
				maps.Copy(want, b.compared)
				maps.Copy(want, b.of[loader])
			}
			for _, b := range model[min(int(oldest)-1, len(model)):] {
				total += len(b.keys) + len(b.compared) + len(b.of["a"]) + len(b.of["b"])
			}
			got, known := j.Since(since, loader)
			for _, k := range got {
				if !want[k] {
					t.Fatalf("since %d: %v was not read", since, k)
				}
			}
			switch {
			case known && (all || len(got) != len(want)):
				t.Fatalf("since %d: %v, want %v (all: %v)", since, got, want, all)
			case !known && !all && since >= oldest && total == 0:
				t.Fatalf("since %d: not known, though it fits", since)
			}
			for k := range want {
				last := uint64(0)
				for i, b := range model {
					if b.keys[k] || b.of[loader][k] || b.whole[loader] {
						last = uint64(i + 1)
					}
				}
				if got := j.LastRead(loader, k); known && last >= since && got != last {
					t.Fatalf("%v was read last by batch %d, want %d", k, got, last)
				}
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
