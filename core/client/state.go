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
	// Connecting: there are no rows yet.
	Connecting Status = "connecting"
	// Live: the rows are current as far as the server has told.
	Live Status = "live"
	// Stale: there is no connection, and the rows may be old. It heals by itself.
	Stale Status = "stale"
	// Closed: the client has ended, see [State].Err.
	Closed Status = "closed"
)

// State is what a client shows at one moment. It is immutable, and may be kept and
// used from any goroutine.
type State[T any] struct {
	Status Status
	// Version is the version of the rows, "" before the first. Modified is when
	// the server saw it come to be.
	Version  string
	Modified time.Time
	// Err is why the client is stale or has ended: a [*wire.Problem] where the
	// server has refused. It is nil while it is live.
	Err error

	rows *rowTree[T]
}

// rowTree holds rows in their order; Copy shares everything until it is written to.
type rowTree[T any] = btree.BTreeG[*row[T]]

// row is a row as it came.
type row[T any] struct {
	key  string
	rank uint64 // orders rows where nothing else does
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

// All iterates over the rows, in the binding's order. Rows are handed out by value;
// what they refer to is shared and must not be modified.
func (s State[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		if s.rows != nil {
			s.rows.Scan(func(r *row[T]) bool { return yield(r.as) })
		}
	}
}

// JSON iterates over the rows as they came. The bytes are shared and must not be
// modified.
func (s State[T]) JSON() iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		if s.rows != nil {
			s.rows.Scan(func(r *row[T]) bool { return yield(r.raw) })
		}
	}
}
