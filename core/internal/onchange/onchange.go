// Package onchange calls a function with every event of a view, in order, until it is
// stopped. [core.Binding.OnChange] puts the types of rows around it.
package onchange

import (
	"context"
	"runtime/debug"
	"sync"

	"github.com/binderyhq/bindery/core/internal/signal"
	"github.com/binderyhq/bindery/core/live"
)

// Call calls fn with what convert makes of a sync of the view, and then of each event.
// It does so on a goroutine of the group's, until stop is called, the view ends, or fn
// panics, which panicked is told. No call begins after stop has returned. A group that
// is closed calls nothing.
func Call[D any](group *signal.Group, view *live.View, convert func(*live.Event) D, fn func(D), panicked func(value any, stack []byte)) (stop func()) {
	sub := view.Subscribe(live.SubscribeOptions{})
	if !group.Enter() {
		return sub.Close
	}
	c := &calls{sub: sub}
	go func() {
		defer group.Leave()
		defer c.close()
		defer func() {
			if r := recover(); r != nil {
				panicked(r, debug.Stack())
			}
		}()
		run(c, view, convert, fn)
	}()
	return c.stop
}

// calls decides between a call that is about to begin and a stop.
type calls struct {
	mu      sync.Mutex // guards what follows
	stopped bool
	sub     *live.Subscription
}

func run[D any](c *calls, view *live.View, convert func(*live.Event) D, fn func(D)) {
	sub := c.sub
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
			if sub = c.resubscribe(view); sub == nil {
				return
			}
			continue
		}
		d := convert(e) // first: it may take long, and stop may come meanwhile
		if !c.mayBegin() {
			return
		}
		fn(d)
	}
}

// mayBegin reports whether a call may begin.
func (c *calls) mayBegin() bool {
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

// resubscribe begins another subscription in place of the one so far. It returns nil
// after stop.
func (c *calls) resubscribe(v *live.View) *live.Subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sub.Close()
	if c.stopped {
		return nil
	}
	c.sub = v.Subscribe(live.SubscribeOptions{})
	return c.sub
}
