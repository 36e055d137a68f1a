package ondemand_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/sources/internal/ondemand"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Whoever asks is answered by a look that began afterwards, however many ask, and a
// look that fails answers nobody.
func TestLook(t *testing.T) {
	var looks ondemand.Looks
	if err := looks.Look(t.Context()); !errors.Is(err, ondemand.ErrNotWatching) {
		t.Errorf("without a watch: %v", err)
	}
	var found atomic.Int64 // by the last look that succeeded
	var there atomic.Int64 // to be found
	runs := []*ondemand.Run{looks.Join(), looks.Join()}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	for i, run := range runs {
		all.Go(func() {
			defer run.Leave()
			for tries := 1; ; tries++ {
				select {
				case <-run.Asked():
				case <-ctx.Done():
					return
				}
				for {
					n := run.Begin()
					if tries++; tries%3 == 0 {
						continue // it has failed
					}
					if seen := there.Load(); i == 0 {
						found.Store(seen)
					}
					run.Done(n)
					break
				}
			}
		})
	}
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for range 500 {
				n := there.Add(1)
				if err := looks.Look(ctx); err != nil {
					t.Errorf("%v", err)
					return
				}
				if got := found.Load(); got < n {
					t.Errorf("found %d, and %d was there before the question", got, n)
					return
				}
			}
		})
	}
	asking.Wait()
	cancel()
	all.Wait()
	if err := runs[0].Await(t.Context()); !errors.Is(err, ondemand.ErrNotWatching) {
		t.Errorf("after the end: %v", err)
	}
	done, stop := context.WithCancel(t.Context())
	stop()
	run := looks.Join()
	defer run.Leave()
	if err := looks.Look(done); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody looks: %v", err)
	}
}
