package live_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/live"
)

type cacheKey struct{ n int }

// TestMemo builds each thing once, however many ask, counts it, and builds anew
// what panicked.
func TestMemo(t *testing.T) {
	var c live.Cache
	var built atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range 3 {
				got := live.Memo(&c, cacheKey{n}, func(charge *live.Charge) int {
					built.Add(1)
					charge.Add(100)
					return n * n
				})
				if got != n*n {
					t.Errorf("%d, want %d", got, n*n)
				}
			}
		})
	}
	wg.Wait()
	if built.Load() != 3 || c.Bytes() != 300 {
		t.Errorf("built %d of %d bytes", built.Load(), c.Bytes())
	}
	for i := range 2 {
		func() {
			defer func() { _ = recover() }()
			live.Memo(&c, cacheKey{9}, func(*live.Charge) int { panic(i) })
			t.Error("it did not panic")
		}()
	}
	if got := live.Memo(&c, cacheKey{9}, func(*live.Charge) int { return 81 }); got != 81 {
		t.Errorf("after the panics: %d", got)
	}
}

// TestZeroRow: what there is none of shows nothing, and does not panic.
func TestZeroRow(t *testing.T) {
	var r live.Row
	_, dated := r.HTTPDate(time.Now())
	if !r.IsZero() || r.Key() != "" || r.JSON() != nil || r.Value() != nil || r.Token() != "" || r.OrderKey() != "" || !r.Modified().IsZero() || dated || !r.Equal(live.Row{}) {
		t.Errorf("%+v", r)
	}
}
