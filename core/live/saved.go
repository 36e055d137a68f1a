package live

import (
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/digest"
)

// Saved is one version of a binding in a form that can be stored outside of the process, so
// that a later run can serve it before it has read the database. See core.Registry.Saved
// and core.Registry.Restore.
type Saved struct {
	// Declared identifies the binding's declaration and the type of its rows. Rows saved
	// under another declaration cannot be used.
	Declared [16]byte
	// Token and Modified are those of the [Version].
	Token    string
	Modified time.Time
	// Numbered says that the order keys are numbers, see [Content].
	Numbered bool
	// Values says that the rows' Go values can be rebuilt from the saved data. Otherwise
	// clients are served at once, and Go code waits for the database.
	Values bool
	// Rows are in the order of their keys.
	Rows []SavedRow
	// Order lists the positions in Rows of all rows, in the binding's order. It is nil when
	// that is the order of keys.
	Order []uint32
	// Log is how the rows became what they are, as far as the log reaches back.
	Log SavedLog
}

// SavedRow is one row of [Saved]. Its bytes must not be modified.
type SavedRow struct {
	Key driver.Key
	// OrderKey orders the row among the others, see [Row.OrderKey]. It is ignored when
	// Order is nil.
	OrderKey string
	// JSON is the encoded row.
	JSON []byte
	// Model is the JSON from which the Go value is rebuilt, nil when that is the field
	// JSON.
	Model []byte
}

// Errors of [Publisher.Restore].
var (
	// ErrOtherDeclaration means that the rows were saved under another declaration.
	ErrOtherDeclaration = errors.New("the binding, or the type of its rows, was declared otherwise when it was saved")
	// ErrDamaged means that the saved rows do not match their version token, or are
	// inconsistent.
	ErrDamaged = errors.New("the saved rows are damaged")
	// ErrLoaded means that the binding has rows already.
	ErrLoaded = errors.New("the binding has loaded")
)

// Saved returns the snapshot in that form, except for the parts that only the binding's
// loader can add: Declared is the fingerprint alone, Values is false, and no row has a
// Model. The log, which the view has, is empty: see [View.SavedLog].
func (s *Snapshot) Saved() Saved {
	out := Saved{
		Declared: s.print.raw, Token: s.version.Token, Modified: s.version.Modified,
		Rows: make([]SavedRow, 0, s.Len()),
	}
	at := make(map[*entry]uint32)
	if s.ordered != s.rows {
		at = make(map[*entry]uint32, s.Len())
	}
	s.rows.Scan(func(e *entry) bool {
		out.Numbered = out.Numbered || e.numbered
		if s.ordered != s.rows {
			at[e] = uint32(len(out.Rows))
		}
		out.Rows = append(out.Rows, SavedRow{Key: e.key, OrderKey: e.orderKey, JSON: e.json})
		return true
	})
	if s.ordered != s.rows {
		out.Order = make([]uint32, 0, s.Len())
		s.ordered.Scan(func(e *entry) bool {
			out.Order = append(out.Order, at[e])
			return true
		})
	}
	return out
}

// Valued reports whether the rows have Go values. A restored snapshot may lack them until
// the database has been read.
func (s *Snapshot) Valued() bool { return !s.valueless }

// Restored reports whether the row comes from an earlier run and has not been read from the
// database since.
func (r Row) Restored() bool { return r.e != nil && r.e.restored }

// Proven reports whether Prove was called on the row. Any goroutine may call either.
func (r Row) Proven() bool { return r.e != nil && r.e.proven.Load() }

// Prove notes that the row's Go value can be rebuilt from its JSON.
func (r Row) Prove() { r.e.proven.Store(true) }

// Restore makes the saved rows current, before the first load. value rebuilds a row's Go
// value on first use; concurrent first uses may call it several times, and its result is
// shared. The log goes on from the saved one. The view owns the rows from now on.
//
// The error wraps [ErrDamaged] when the rows, or the events of the log, do not match the
// versions that they were saved as, [ErrLoaded], or the error with which the view has ended.
func (p *Publisher) Restore(print *Fingerprint, s Saved, value func(model []byte) any, now time.Time) error {
	if p.v.current.Load() != nil {
		return fmt.Errorf("live: binding %q: %w", p.v.name, ErrLoaded)
	}
	next, err := restored(print, s, value, now)
	if err != nil {
		return fmt.Errorf("live: binding %q: %w", p.v.name, err)
	}
	log, err := restoredLog(next, s, value, now)
	if err != nil {
		return fmt.Errorf("live: binding %q: %w", p.v.name, err)
	}
	if !p.publishRestored(next, log) {
		return fmt.Errorf("live: binding %q: %w", p.v.name, p.v.Err())
	}
	return nil
}

// restored builds the snapshot. It needs few allocations, however many rows there are.
func restored(print *Fingerprint, s Saved, value func([]byte) any, now time.Time) (*Snapshot, error) {
	stamp := digest.Restored(s.Modified, now)
	entries := make([]entry, len(s.Rows))
	var values []deferred
	if s.Values {
		values = make([]deferred, len(s.Rows))
	}
	out := &Snapshot{
		print: print, sum: print.sum, rows: newTree(false), stamp: stamp, valueless: !s.Values,
		cache: &Cache{}, body: &Cache{}, told: &Cache{},
	}
	for i := range s.Rows {
		from, e := &s.Rows[i], &entries[i]
		if i > 0 && from.Key <= s.Rows[i-1].Key {
			return nil, fmt.Errorf("%w: row %d is not in the order of keys", ErrDamaged, i)
		}
		e.key, e.json, e.stamp, e.numbered, e.restored = from.Key, from.JSON, stamp, s.Numbered, true
		if e.orderKey = string(from.Key); s.Order != nil {
			e.orderKey = from.OrderKey
		}
		if s.Values {
			d := &values[i]
			d.make, d.model = value, from.Model
			if d.model == nil {
				d.model = from.JSON
			}
			e.value = d
		}
		out.rows.Set(e)
		out.sum = out.sum.Add(e.sum(print))
		out.bytes += len(e.json)
	}
	if err := out.order(entries, s.Order); err != nil {
		return nil, err
	}
	if s.Numbered {
		out.sequence = sequenceOf(print, out.ordered)
		out.sum = out.sum.Add(out.sequence)
	}
	if got := out.sum.Token(); got != s.Token {
		return nil, fmt.Errorf("%w: they amount to version %s, and not to %s", ErrDamaged, got, s.Token)
	}
	out.version = Version{Token: s.Token, Seq: 1, Modified: stamp.Modified}
	return out, nil
}

// order builds the tree of the order. It requires strictly ascending order keys, so each
// entry appears once.
func (s *Snapshot) order(entries []entry, order []uint32) error {
	if s.ordered = s.rows; order == nil {
		return nil
	}
	if len(order) != len(entries) {
		return fmt.Errorf("%w: %d of %d rows have an order key", ErrDamaged, len(order), len(entries))
	}
	s.ordered = newTree(true)
	before := ""
	for i, at := range order {
		if int64(at) >= int64(len(entries)) {
			return fmt.Errorf("%w: there is no row %d", ErrDamaged, at)
		}
		e := &entries[at]
		if i > 0 && e.orderKey <= before {
			return fmt.Errorf("%w: row %d is out of order", ErrDamaged, at)
		}
		before = e.orderKey
		s.ordered.Set(e)
	}
	return nil
}
