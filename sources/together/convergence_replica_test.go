package together_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// replica is a client of a binding: it knows nothing but the events of a
// subscription, and keeps the rows that they lead to.
type replica struct {
	view *live.View
	// check, when set, is called with the rows after each event, on the
	// replica's goroutine.
	check func(rows map[driver.Key]string) error

	mu    sync.Mutex // guards what follows
	rows  map[driver.Key]string
	token string
	err   error
}

// follow runs until the context is done or the binding ends.
func (r *replica) follow(ctx context.Context) {
	sub := r.view.Subscribe(live.SubscribeOptions{})
	defer sub.Close()
	for {
		e, err := sub.Next(ctx)
		if err != nil {
			return
		}
		r.apply(e)
	}
}

func (r *replica) apply(e *live.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case e.Kind == live.Synced:
		r.rows = make(map[driver.Key]string)
		for row := range e.Snapshot.Rows() {
			r.rows[row.Key()] = string(row.JSON())
		}
	case e.From != r.token && e.Kind == live.Changed:
		r.fail(fmt.Errorf("an event starts from %s, the replica is at %s", e.From, r.token))
	}
	for _, row := range e.Created {
		r.expect(row, false)
		r.rows[row.Key()] = string(row.JSON())
	}
	for _, row := range e.Updated {
		r.expect(row, true)
		r.rows[row.Key()] = string(row.JSON())
	}
	for _, row := range e.Deleted {
		r.expect(row, true)
		delete(r.rows, row.Key())
	}
	r.token = e.Version.Token
	if r.check != nil {
		r.fail(r.check(r.rows))
	}
}

func (r *replica) expect(row live.Row, there bool) {
	if _, ok := r.rows[row.Key()]; ok != there {
		r.fail(fmt.Errorf("an event for row %s, which is there: %t", row.Key(), ok))
	}
}

// fail keeps the first error.
func (r *replica) fail(err error) {
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("binding %q, a subscriber: %w", r.view.Name(), err)
	}
}

// result returns what was wrong so far, or that the rows are not those of the
// snapshot.
func (r *replica) result() error {
	snap := r.view.Snapshot()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.err != nil:
		return r.err
	case r.token != snap.Version().Token:
		return errBehind
	case len(r.rows) != snap.Len():
		return fmt.Errorf("binding %q: a subscriber has %d rows, the snapshot of the same version %d", r.view.Name(), len(r.rows), snap.Len())
	}
	for row := range snap.Rows() {
		if r.rows[row.Key()] != string(row.JSON()) {
			return fmt.Errorf("binding %q: a subscriber has %s, the snapshot of the same version %s", r.view.Name(), r.rows[row.Key()], row.JSON())
		}
	}
	return nil
}

// errBehind says that a subscriber has not seen the last version yet.
var errBehind = errors.New("the subscriber is behind")
