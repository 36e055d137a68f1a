package backlog

import (
	"testing"

	"github.com/binderyhq/bindery/core/internal/rowset"
)

// TestLags: a member lacks what was noted, until it has been read in full after that.
func TestLags(t *testing.T) {
	var l Lags
	a, b := &rowset.Member{}, &rowset.Member{}
	expect := func(when string, frozen int, lacks ...uint64) {
		t.Helper()
		if n := len(l.Frozen()); n != frozen {
			t.Errorf("%s: %d members are frozen, want %d", when, n, frozen)
		}
		set := make(map[uint64]bool)
		for _, n := range lacks {
			set[n] = true
		}
		for n := range uint64(20) {
			if l.Lacks(n) != set[n] {
				t.Errorf("%s: report %d is lacking: %v", when, n, l.Lacks(n))
			}
		}
	}
	expect("at first", 0)
	l.Note(a, 3, 4, false)
	l.Note(b, 9, 9, true)
	expect("two members", 1, 3, 4, 9)
	l.Note(a, 6, 6, true)
	expect("more of one", 2, 3, 4, 5, 6, 9)
	l.Read(a, true)
	expect("read too early", 1, 3, 4, 5, 6, 9)
	l.Read(a, false)
	expect("read", 1, 9)
	l.Note(a, 8, 7, true) // none
	expect("frozen for no report", 2, 9)
	l.Drop(b)
	l.Read(a, false)
	l.Read(b, false)
	expect("in the end", 0)
	if l.Has(a) || l.Has(b) {
		t.Error("something is left")
	}
}
