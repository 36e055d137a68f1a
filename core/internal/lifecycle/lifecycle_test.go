package lifecycle_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core/internal/lifecycle"
	"github.com/binderyhq/bindery/core/live"
)

// TestStageForgetsNothing starts parts while the stage closes: each is either on the
// record, or refused.
func TestStageForgetsNothing(t *testing.T) {
	const n = 100
	var s lifecycle.Stage
	var starting sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	begin := make(chan struct{})
	for range n {
		starting.Go(func() {
			<-begin
			if !s.Push(lifecycle.Plugins, lifecycle.Part{}) {
				mu.Lock()
				refused++
				mu.Unlock()
			}
		})
	}
	close(begin)
	parts := s.Close()
	starting.Wait()
	if got := len(parts[lifecycle.Plugins]) + refused; got != n {
		t.Errorf("%d of %d parts are known", got, n)
	}
	if !s.IsClosed() {
		t.Error("the stage is open")
	}
}

func TestCloseReverses(t *testing.T) {
	var s lifecycle.Stage
	for _, name := range []string{"a", "b", "c"} {
		s.Push(lifecycle.Transports, lifecycle.Part{Name: name})
	}
	var names []string
	for _, p := range s.Close()[lifecycle.Transports] {
		names = append(names, p.Name)
	}
	if !slices.Equal(names, []string{"c", "b", "a"}) {
		t.Errorf("stopped in the order %v", names)
	}
}

// TestShares holds that parts which never stop take their share of the time, leave the
// others theirs, and are named; and that nobody else is.
func TestShares(t *testing.T) {
	for _, c := range []struct {
		phase lifecycle.Phase
		takes time.Duration // of 8 seconds
	}{
		{lifecycle.Transports, 4 * time.Second},
		{lifecycle.Sources, 2 * time.Second},
		{lifecycle.Plugins, 8 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			defer cancel()
			forever := make(chan struct{})
			defer close(forever)
			stopped := make(chan string, 4)
			quick := func(name string) lifecycle.Part {
				return lifecycle.Part{Name: name, Stop: func(context.Context) error { stopped <- name; return nil }}
			}
			begun := time.Now()
			errs := lifecycle.Stop(ctx, c.phase, []lifecycle.Part{
				quick("first"),
				{Name: "deaf", Stop: lifecycle.WaitFor(forever)},
				{Name: "slow", Stop: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
				quick("last"),
			})
			if took := time.Since(begun); took > c.takes+time.Second {
				t.Errorf("phase %d took %v, its share is %v", c.phase, took, c.takes)
			}
			if len(stopped) != 2 {
				t.Errorf("phase %d: %d of the quick parts were stopped", c.phase, len(stopped))
			}
			text := errors.Join(errs...).Error()
			for name, late := range map[string]bool{"first": false, "deaf": true, "slow": true, "last": false} {
				if strings.Contains(text, name+" has not stopped within") != late {
					t.Errorf("phase %d: %q is late: %v; the error is %q", c.phase, name, late, text)
				}
			}
		})
	}
}

func TestStopPanics(t *testing.T) {
	errs := lifecycle.Stop(t.Context(), lifecycle.Plugins, []lifecycle.Part{{Name: "it", Stop: func(context.Context) error { panic("oops") }}})
	if err := errors.Join(errs...); err == nil || !strings.Contains(err.Error(), "shutting down it: panic in Shutdown: oops") {
		t.Errorf("the error is %v", err)
	}
}

// TestLaunch: what has started is known to whoever closes the stage, or was stopped.
func TestLaunch(t *testing.T) {
	var s lifecycle.Stage
	stopped := 0
	part := lifecycle.Part{Name: "it", Stop: func(context.Context) error { stopped++; return nil }}
	if err := s.Launch(t.Context(), lifecycle.Plugins, "starting it", part, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	err := s.Launch(t.Context(), lifecycle.Plugins, "starting it", part, func() error { panic("oops") })
	if err == nil || !strings.Contains(err.Error(), "core: starting it: panic in starting: oops") {
		t.Errorf("after a panic: %v", err)
	}
	var known lifecycle.Parts
	err = s.Launch(t.Context(), lifecycle.Plugins, "starting it", part, func() error { known = s.Close(); return nil })
	if !errors.Is(err, live.ErrClosed) || stopped != 1 || len(known[lifecycle.Plugins]) != 1 {
		t.Errorf("closed meanwhile: %v, %d stopped, %d known", err, stopped, len(known[lifecycle.Plugins]))
	}
	if err := s.Launch(t.Context(), lifecycle.Plugins, "starting it", part, func() error { stopped++; return nil }); !errors.Is(err, live.ErrClosed) || stopped != 1 {
		t.Errorf("on a closed stage: %v, %d calls", err, stopped)
	}
}
