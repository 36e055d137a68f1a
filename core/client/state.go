package client

import (
	"encoding/json"
	"iter"
	"time"

	"github.com/tidwall/btree"
)

// Status says how current a [State] is.
type Status string

// The states of a client.
const (
	// Connecting means that there are no rows yet.
	Connecting Status = "connecting"
	// Live means that the rows are current as far as the server has told.
	Live Status = "live"
	// Stale means that there is no connection, and the rows may be old. The client recovers
	// by itself.
	Stale Status = "stale"
	// Closed means that the client has ended, see [State].Err.
	Closed Status = "closed"
)

// State is an immutable state of a client, with its rows. It may be kept, and used from any
// goroutine.
type State[T any] struct {
	Status Status
	// Version is the token of the rows' version, "" before the first rows. Modified is when
	// the server saw that version arise.
	Version  string
	Modified time.Time
	// Err is why the client is not connected or has ended: a [*wire.Problem] when the
	// server has refused. It is nil while the client is live.
	Err error

	rows *rowTree[T]
}

// rowTree holds rows in their order. Copies share nodes until one of them changes.
type rowTree[T any] = btree.BTreeG[*row[T]]

// row is a row as received.
type row[T any] struct {
	key  string
	rank uint64 // orders rows that are otherwise equal
	sort sortKey
	raw  json.RawMessage
	as   T
}

// Len returns the number of rows.
func (s State[T]) Len() int {
	if s.rows == nil {
		return 0
	}
	return s.rows.Len()
}

// All iterates over the rows, in the binding's order. Rows are returned by value; data that
// they refer to is shared and must not be modified.
func (s State[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		if s.rows != nil {
			s.rows.Scan(func(r *row[T]) bool { return yield(r.as) })
		}
	}
}

// JSON iterates over the rows as received. The bytes are shared and must not be modified.
func (s State[T]) JSON() iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		if s.rows != nil {
			s.rows.Scan(func(r *row[T]) bool { return yield(r.raw) })
		}
	}
}
