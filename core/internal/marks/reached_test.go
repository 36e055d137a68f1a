package marks

import (
	"fmt"
	"testing"
)

// TestReached remembers marks, its own by number and others by their text, until they are
// forgotten. What was found out before that is not remembered afterwards.
func TestReached(t *testing.T) {
	own, other := Node{1}, Node{2}
	var s Reached
	third, _ := Mark{Node: own, Number: 3}.Text()
	theirs, _ := Mark{Node: other, Number: 3}.Text()
	run := s.Run()
	s.Add(run, own, Mark{Node: own, Number: 3}, third)
	s.Add(run, own, Mark{Node: own, Number: 2}, "the second")
	s.Add(run, own, Mark{Node: other, Number: 3}, theirs)
	for n, want := range map[uint64]bool{2: true, 3: true, 4: false} {
		if got := s.Has(own, Mark{Node: own, Number: n}, "any"); got != want {
			t.Errorf("own mark %d: %v", n, got)
		}
	}
	if !s.Has(own, Mark{Node: other, Number: 3}, theirs) || s.Has(own, Mark{Node: other, Number: 2}, "another") || !s.HasLast(theirs) || s.HasLast(third) {
		t.Error("others' marks are those that were added")
	}
	s.Forget()
	s.Add(run, own, Mark{Node: other, Number: 3}, theirs) // it was found out before
	if s.Has(own, Mark{Node: own, Number: 1}, third) || s.Has(own, Mark{Node: other, Number: 3}, theirs) || s.HasLast(theirs) {
		t.Error("it remembers what it was to forget")
	}
	for i := range maxOthers + 1 {
		s.Add(s.Run(), own, Mark{Node: other}, fmt.Sprint(i))
	}
	if len(s.others) != 1 {
		t.Errorf("%d marks of others are remembered", len(s.others))
	}
}
