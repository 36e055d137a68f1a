package hold

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/binderyhq/bindery/transports/internal/ending"
)

func TestDrainHonoursItsContext(t *testing.T) {
	c := NewCount(1)
	if !c.Begin() {
		t.Fatal("nobody waits, but there is no room")
	}
	if c.Begin() {
		t.Error("more begin than may")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("drained although a request waits: %v", err)
	}
	c.End()
	if c.Begin() {
		t.Error("a request waits after the end")
	}
}

// holder holds a request, and returns its context and how to release it.
func holder(t *testing.T, h *Requests, request, stopping context.Context, asked time.Duration) (context.Context, func(), bool) {
	t.Helper()
	return h.Hold(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(request), stopping, asked)
}

// Everything that may end a wait does.
func TestHold(t *testing.T) {
	for name, end := range map[string]func(h *Requests, request, stop context.CancelFunc){
		"the request":   func(_ *Requests, request, _ context.CancelFunc) { request() },
		"the transport": func(_ *Requests, _, stop context.CancelFunc) { stop() },
		"a release":     func(h *Requests, _, _ context.CancelFunc) { _ = h.Release(context.Background(), time.Nanosecond) },
	} {
		t.Run(name, func(t *testing.T) {
			h := New(1, time.Hour, &ending.Servers{})
			request, cancel := context.WithCancel(t.Context())
			defer cancel()
			stopping, stop := context.WithCancel(t.Context())
			defer stop()
			ctx, release, ok := holder(t, h, request, stopping, time.Hour)
			if !ok || h.Len() != 1 {
				t.Fatal("not held")
			}
			if _, _, again := holder(t, h, request, stopping, time.Hour); again {
				t.Error("more are held than may be")
			}
			end(h, cancel, stop)
			<-ctx.Done()
			release()
			if h.Len() != 0 {
				t.Error("still held after its release")
			}
			if err := h.Drain(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("the time", func(t *testing.T) {
		h := New(1, time.Millisecond, &ending.Servers{})
		ctx, release, ok := holder(t, h, t.Context(), t.Context(), time.Hour)
		if !ok || h.Bound(time.Hour) != time.Millisecond {
			t.Fatal("not held")
		}
		defer release()
		<-ctx.Done()
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("ended by %v", ctx.Err())
		}
	})
	for name, h := range map[string]*Requests{"no room": New(0, time.Hour, &ending.Servers{}), "no time": New(1, -1, &ending.Servers{})} {
		if _, _, ok := holder(t, h, t.Context(), t.Context(), time.Hour); ok {
			t.Errorf("%s, and held", name)
		}
	}
}
