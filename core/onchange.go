package core

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"

	"github.com/binderyhq/bindery/core/live"
)

// Delta is how a binding changed, for [Binding.OnChange].
type Delta[T any] struct {
	// Version is the version that the change led to.
	Version live.Version
	// Created and Updated hold the rows as they are, Deleted as they last were.
	Created, Updated, Deleted []T
	// Reset says that Created holds all rows and that everything known before is
	// void. The first Delta is of this kind, and so is one after the function
	// lagged too far behind.
	Reset bool
}

// OnChange calls fn with all rows once the binding has loaded, and then with
// every change, in order, until stop is called or the binding ends. Calls are
// made one at a time, on a goroutine of their own. A slow function sees changes
// merged and holds up nobody. A panic of fn is logged and ends the calls.
//
// No call begins after stop has returned. A call under way is not waited for, so
// fn may call stop itself. [Registry.Shutdown] waits for calls under way, also
// those for bindings that were removed before.
func (b *Binding[T]) OnChange(fn func(Delta[T])) (stop func()) {
	sub := b.Subscribe(live.SubscribeOptions{})
	watchers := &b.own.family.watchers
	if !watchers.enter() {
		return sub.Close // the registry has shut down
	}
	calls := &calls{sub: sub}
	go func() {
		defer watchers.leave()
		defer calls.close()
		defer func() {
			if r := recover(); r != nil {
				b.own.logger().Error("core: OnChange function panicked; it is not called again", slog.String("id", "core-onchange-panic"),
					slog.String("binding", b.Name()), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
			}
		}()
		for {
			e, err := sub.Next(context.Background()) // stop closes the subscription
			if err != nil {
				return
			}
			if e.Kind == live.Synced && !e.Snapshot.Valued() {
				// Restored rows without Go values. The next event says that the
				// database has been read: begin again there.
				if _, err := sub.Next(context.Background()); err != nil {
					return
				}
				if sub = calls.subscribe(b.View); sub == nil {
					return
				}
				continue
			}
			d := deltaOf[T](e)
			if !calls.begin() {
				return
			}
			fn(d)
		}
	}()
	return calls.stop
}

func deltaOf[T any](e *live.Event) Delta[T] {
	d := Delta[T]{Version: e.Version}
	switch e.Kind {
	case live.Synced:
		d.Reset = true
		d.Created = make([]T, 0, e.Snapshot.Len())
		for r := range e.Snapshot.Rows() {
			d.Created = append(d.Created, *r.Value().(*T))
		}
	case live.Changed:
		d.Created, d.Updated, d.Deleted = typed[T](e.Created), typed[T](e.Updated), typed[T](e.Deleted)
	}
	return d
}

func typed[T any](rows []live.Row) []T {
	if len(rows) == 0 {
		return nil
	}
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = *r.Value().(*T)
	}
	return out
}

// calls decides between a call that is about to begin and a stop.
type calls struct {
	mu      sync.Mutex // guards what follows
	stopped bool
	sub     *live.Subscription
}

// begin reports whether a call may begin.
func (c *calls) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.stopped
}

func (c *calls) stop() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.close()
}

// close ends the subscription.
func (c *calls) close() {
	c.mu.Lock()
	sub := c.sub
	c.mu.Unlock()
	sub.Close()
}

// subscribe begins another subscription in place of the one so far. It returns nil
// after stop.
func (c *calls) subscribe(v *live.View) *live.Subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sub.Close()
	if c.stopped {
		return nil
	}
	c.sub = v.Subscribe(live.SubscribeOptions{})
	return c.sub
}

// watchers counts goroutines that may come until it is closed. Unlike a
// [sync.WaitGroup] it may be added to while somebody waits.
type watchers struct {
	mu     sync.Mutex // guards what follows
	n      int
	closed bool
	idle   chan struct{} // closed when closed is set and n is 0
}

// enter reports whether one more may run. It leaves when it has.
func (w *watchers) enter() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.n++
	return true
}

func (w *watchers) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n--
	if w.n == 0 && w.idle != nil {
		close(w.idle)
	}
}

// running reports whether any has not left.
func (w *watchers) running() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n > 0
}

// close refuses further ones and returns a channel that is closed when none is
// left, nil when none is. It is called once.
func (w *watchers) close() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.n == 0 {
		return nil
	}
	w.idle = make(chan struct{})
	return w.idle
}
