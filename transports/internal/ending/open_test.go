package ending_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/transports/internal/ending"
)

func TestOpenIsBounded(t *testing.T) {
	o := ending.NewOpen[int](2)
	for i := range 2 {
		if err := o.Enter(i); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Enter(2); !errors.Is(err, ending.ErrFull) || o.Len() != 2 || o.Refused() != 1 {
		t.Errorf("the third: %v, %d are in, %d were refused", err, o.Len(), o.Refused())
	}
	o.Leave(0)
	if err := o.Enter(2); err != nil {
		t.Errorf("after one left: %v", err)
	}
	unbounded := ending.NewOpen[int](-1)
	for i := range 100 {
		if err := unbounded.Enter(i); err != nil {
			t.Fatal(err)
		}
	}
}

// Those who leave when they are told are not cut; the others are.
func TestDrain(t *testing.T) {
	o := ending.NewOpen[int](-1)
	for i := range 10 {
		if err := o.Enter(i); err != nil {
			t.Fatal(err)
		}
	}
	o.Close(func(i int) {
		if i%2 == 0 {
			o.Leave(i)
		}
	})
	if err := o.Enter(10); !errors.Is(err, ending.ErrClosed) {
		t.Errorf("entering after Close: %v", err)
	}
	var cut []int
	if err := o.Drain(t.Context(), time.Millisecond, func(i int) {
		cut = append(cut, i)
		o.Leave(i)
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(cut)
	if !slices.Equal(cut, []int{1, 3, 5, 7, 9}) {
		t.Errorf("cut: %v", cut)
	}
	o.Close(nil)
	if err := o.Drain(t.Context(), time.Hour, nil); err != nil {
		t.Errorf("again: %v", err)
	}
}

// Whoever does not even end when cut is not waited for longer than the context
// says; the next Drain goes on.
func TestDrainEndsWithItsContext(t *testing.T) {
	o := ending.NewOpen[string](-1)
	if err := o.Enter("stubborn"); err != nil {
		t.Fatal(err)
	}
	o.Close(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cuts := 0
	if err := o.Drain(ctx, time.Hour, func(string) { cuts++ }); !errors.Is(err, context.Canceled) || cuts != 1 {
		t.Errorf("%v after %d cuts", err, cuts)
	}
	o.Leave("stubborn")
	if err := o.Drain(t.Context(), time.Hour, nil); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestSpread: each is told once, evenly over the time, and nobody is let wait for
// when nobody is in.
func TestSpread(t *testing.T) {
	for _, n := range []int{0, 1, 10, 5000} {
		synctest.Test(t, func(t *testing.T) {
			o := ending.NewOpen[int](-1)
			for i := range n {
				if err := o.Enter(i); err != nil {
					t.Fatal(err)
				}
			}
			const over = time.Second
			begun := time.Now()
			told, before := make(map[int]int), 0
			err := o.Spread(t.Context(), over, func(m int) {
				told[m]++
				if at := time.Since(begun); at < over/2 {
					before++
				}
			})
			if err != nil || len(told) != n {
				t.Fatalf("of %d, %d were told: %v", n, len(told), err)
			}
			if n >= 10 && (before < n/3 || before > 2*n/3) {
				t.Errorf("of %d, %d were told in the first half", n, before)
			}
			if took := time.Since(begun); took > over {
				t.Errorf("of %d, the last was told after %v", n, took)
			}
			ended, cancel := context.WithCancelCause(t.Context())
			cancel(errors.New("enough"))
			if err := o.Spread(ended, over, func(int) {}); n > 1 && (err == nil || err.Error() != "enough") {
				t.Errorf("ended before it began: %v", err)
			}
		})
	}
}
