package socket

import (
	"testing"
	"time"
)

// TestLazyDeadline: a deadline is never earlier than asked, at most a quarter of
// the timeout later, and seldom moved; near ones are set as they are.
func TestLazyDeadline(t *testing.T) {
	const timeout = time.Hour
	l := lazyDeadline{timeout: timeout}
	var at time.Time
	moved := 0
	apply := func(d time.Time) error { at = d; moved++; return nil }
	begin := time.Now()
	for i := range 1000 {
		asked := begin.Add(timeout + time.Duration(i)*time.Minute/4)
		if err := l.set(asked, apply); err != nil {
			t.Fatal(err)
		}
		if at.Before(asked) || at.After(asked.Add(timeout/4)) {
			t.Fatalf("asked for %v, the deadline is %v later", asked, at.Sub(asked))
		}
	}
	if moved > 20 {
		t.Errorf("1,000 writes within 250 minutes moved the deadline %d times", moved)
	}
	near := time.Now().Add(time.Second)
	if _ = l.set(near, apply); !at.Equal(near) {
		t.Errorf("a near deadline became %v", at)
	}
	if _ = l.set(near.Add(timeout), apply); at.Before(near.Add(timeout)) {
		t.Errorf("after a near one: %v", at)
	}
	if _ = l.set(time.Time{}, apply); !at.IsZero() {
		t.Errorf("no deadline became %v", at)
	}
}
