package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/tidwall/btree"

	"github.com/binderyhq/bindery/core/wire"
)

// Rows are the rows of one binding, kept current. All methods may be called from any
// goroutine.
type Rows[T any] struct {
	stream *Stream
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex // guards what follows
	state State[T]
	news  chan struct{} // closed at the next state
}

// Open follows the binding with that name, from the address of the server's event streams:
// "https://shop.example/events". Rows are decoded by encoding/json. Pass at most one
// configuration. The error reports bad arguments: Open connects in the background, so wait
// for rows with [Rows.Ready] or [Rows.States].
func Open[T any](events, binding string, cfg ...Config) (*Rows[T], error) {
	if len(cfg) > 1 {
		return nil, errors.New("client: more than one configuration is given")
	}
	stream, err := NewStream(events, binding, append(cfg, Config{})[0])
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Rows[T]{stream: stream, cancel: cancel, done: make(chan struct{}), news: make(chan struct{}), state: State[T]{Status: Connecting}}
	go func() {
		defer close(r.done)
		k := &keeper[T]{rows: r, cfg: stream.cfg}
		err := stream.Run(ctx, k)
		if errors.Is(err, context.Canceled) {
			err = ErrClosed
		}
		r.set(func(s *State[T]) { s.Status, s.Err = Closed, err })
	}()
	return r, nil
}

// ErrClosed is the error of the last state after [Rows.Close].
var ErrClosed = errors.New("client: closed")

// Close ends the client and its connection. It returns when everything has stopped. Closing
// twice is harmless.
func (r *Rows[T]) Close() error {
	r.cancel()
	<-r.done
	return nil
}

// Counts returns the counters of the client's stream.
func (r *Rows[T]) Counts() Counts { return r.stream.Counts() }

// State returns the current state.
func (r *Rows[T]) State() State[T] {
	s, _ := r.next()
	return s
}

// next returns the current state, and a channel that is closed at the next one.
func (r *Rows[T]) next() (State[T], <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, r.news
}

func (r *Rows[T]) set(change func(*State[T])) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.state)
	close(r.news)
	r.news = make(chan struct{})
}

// Ready returns the first state with rows, even if the list is empty. The error is the
// reason why the client has ended, or the context's, together with the reason why there is
// no connection.
func (r *Rows[T]) Ready(ctx context.Context) (State[T], error) {
	for {
		s, news := r.next()
		switch {
		case s.Status == Closed:
			return s, s.Err
		case s.Version != "":
			return s, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return s, errors.Join(ctx.Err(), s.Err)
		}
	}
}

// States iterates over the current state and each later one, until the client has ended or
// ctx is done. A slow loop gets the newest state and misses those before it. The iteration
// includes the last state of a client that has ended.
func (r *Rows[T]) States(ctx context.Context) iter.Seq[State[T]] {
	return func(yield func(State[T]) bool) {
		for {
			s, news := r.next()
			if !yield(s) || s.Status == Closed {
				return
			}
			select {
			case <-news:
			case <-ctx.Done():
				return
			}
		}
	}
}

// keeper updates the rows, on the goroutine of the stream.
type keeper[T any] struct {
	rows *Rows[T]
	cfg  Config

	version string
	order   order
	tree    *rowTree[T]
	byKey   map[string]*row[T]
	bytes   int
	rank    uint64
}

var _ Handler = (*keeper[struct{}])(nil)

// Version implements [Handler].
func (k *keeper[T]) Version() string { return k.version }

// Lost implements [Handler].
func (k *keeper[T]) Lost(err error) {
	k.rows.set(func(s *State[T]) {
		if s.Err = err; s.Version != "" {
			s.Status = Stale
		}
	})
}

// Step implements [Handler]. It changes nothing before it has read the whole step.
func (k *keeper[T]) Step(s *wire.Step) error {
	order := k.order
	if s.Sync {
		order = parseOrder(s.Order())
	}
	type change struct {
		action wire.Action
		row    *row[T]
	}
	var changes []change
	err := s.Rows(func(action wire.Action, raw json.RawMessage) error {
		r, err := k.read(raw, order, action == wire.Delete)
		changes = append(changes, change{action, r})
		return err
	})
	if err != nil {
		return err
	}
	relearn := s.Sync
	if s.Sync {
		k.order, k.tree, k.byKey, k.bytes = order, nil, make(map[string]*row[T], len(changes)), 0
	}
	if k.tree == nil {
		k.tree = k.newTree()
	}
	for _, c := range changes {
		if old := k.byKey[c.row.key]; old != nil {
			k.tree.Delete(old)
			k.bytes -= len(old.raw)
			c.row.rank = old.rank
			delete(k.byKey, c.row.key)
		}
		if c.action == wire.Delete {
			continue
		}
		k.tree.Set(c.row)
		k.byKey[c.row.key] = c.row
		k.bytes += len(c.row.raw)
		relearn = relearn || !k.order.fits(c.row.sort)
	}
	if k.bytes > k.cfg.MaxBytes {
		return fmt.Errorf("%w: %d bytes of JSON", ErrTooLarge, k.bytes)
	}
	if relearn {
		k.learn()
	}
	k.version = s.Last().Version
	shown := k.tree.Copy()
	k.rows.set(func(st *State[T]) {
		*st = State[T]{Status: Live, Version: k.version, Modified: s.Last().Modified, rows: shown}
	})
	return nil
}

func (k *keeper[T]) newTree() *rowTree[T] {
	order := slices.Clone(k.order) // trees in earlier states keep their own order
	return btree.NewBTreeGOptions(func(a, b *row[T]) bool {
		if d := order.compare(a.sort, b.sort); d != 0 {
			return d < 0
		}
		return a.rank < b.rank
	}, btree.Options{NoLocks: true})
}

// learn determines again what the order's fields hold, and sorts the rows accordingly.
func (k *keeper[T]) learn() {
	changed := k.order.learn(func(visit func(sortKey) bool) {
		for _, r := range k.byKey {
			if !visit(r.sort) {
				return
			}
		}
	})
	if !changed {
		return
	}
	k.tree = k.newTree()
	for _, r := range k.byKey {
		k.tree.Set(r)
	}
}

// read reads one row.
func (k *keeper[T]) read(raw json.RawMessage, order order, keyOnly bool) (*row[T], error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, &wire.MalformedError{Detail: "a row is no object"}
	}
	k.rank++
	r := &row[T]{raw: raw, rank: k.rank}
	parts := make([]string, len(k.cfg.Key))
	for i, name := range k.cfg.Key {
		value, ok := fields[name]
		if !ok {
			return nil, fmt.Errorf("client: a row of binding %q has no field %q: Config.Key names the fields of the key", k.rows.stream.binding, name)
		}
		parts[i] = string(value)
	}
	r.key = strings.Join(parts, ",") // JSON values, so the separating comma is unambiguous
	if keyOnly {
		return r, nil
	}
	r.sort = order.of(fields)
	if err := json.Unmarshal(raw, &r.as); err != nil {
		return nil, fmt.Errorf("client: row %s of binding %q is no %T: %w", r.key, k.rows.stream.binding, r.as, err)
	}
	return r, nil
}
