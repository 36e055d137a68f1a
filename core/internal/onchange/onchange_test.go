package onchange_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/onchange"
	"github.com/binderyhq/bindery/core/internal/signal"
	"github.com/binderyhq/bindery/core/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// publish publishes a version of the view with one row of that content.
func publish(t *testing.T, pub *live.Publisher, json string) {
	t.Helper()
	print := live.NewFingerprint("test")
	e := pub.Edit(print, false)
	row := 1
	e.Put(print.Row(live.Content{Key: driver.KeyOf(1), OrderKey: string(driver.KeyOf(1)), JSON: []byte(json), Value: &row}, live.Row{}, time.Now()))
	pub.Publish(e, time.Now())
}

func kind(e *live.Event) live.EventKind { return e.Kind }

// TestStop holds that no call begins after stop has returned, whatever is published
// while the event is converted, and that the group is idle then.
func TestStop(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			var group signal.Group
			view, pub := live.New(live.Options{Name: "items"})
			var stopped atomic.Bool
			converting, resume := make(chan struct{}), make(chan struct{})
			stop := onchange.Call(&group, view, func(e *live.Event) live.EventKind {
				close(converting)
				<-resume
				return e.Kind
			}, func(live.EventKind) {
				if stopped.Load() {
					t.Error("a call began after stop")
				}
			}, func(v any, _ []byte) { t.Errorf("panic: %v", v) })
			publish(t, pub, `1`)
			<-converting
			stop()
			stopped.Store(true)
			close(resume)
			if idle := group.Close(); idle != nil {
				<-idle
			}
		})
	}
}

// TestPanic holds that a function that panics is told of once, and is not called again.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group signal.Group
		view, pub := live.New(live.Options{Name: "items"})
		calls, panics := 0, 0
		stop := onchange.Call(&group, view, kind, func(live.EventKind) {
			calls++
			panic("oops")
		}, func(v any, stack []byte) {
			panics++
			if v != "oops" || len(stack) == 0 {
				t.Errorf("told of %v", v)
			}
		})
		defer stop()
		for _, json := range []string{`1`, `2`, `3`} {
			publish(t, pub, json)
			synctest.Wait()
		}
		if calls != 1 || panics != 1 {
			t.Errorf("%d calls, %d panics", calls, panics)
		}
	})
}

func TestClosedGroup(t *testing.T) {
	var group signal.Group
	group.Close()
	view, pub := live.New(live.Options{Name: "items"})
	stop := onchange.Call(&group, view, kind, func(live.EventKind) { t.Error("called") }, nil)
	publish(t, pub, `1`)
	stop()
}
