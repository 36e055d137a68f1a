package live

import (
	"iter"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/digest"
)

// Snapshot is an immutable view of a binding's rows at one version. Any number of
// goroutines may read it for as long as they like; reads take no lock and never wait.
type Snapshot struct {
	print    *Fingerprint
	version  Version
	sum      digest.Sum
	sequence digest.Sum // zero unless the order is part of sum, see Edit.MarkOrder
	stamp    *digest.Stamp
	rows     *tree // by key
	ordered  *tree // by order key; the same tree as rows when rows are ordered by key
	bytes    int   // of all encoded rows
	// valueless says that rows were restored without their Go values.
	valueless bool

	cache *Cache
	body  *Cache // of the body; shared by snapshots with the same content
	told  *Cache // of the snapshot's sync event

	syncOnce sync.Once
	sync     *Event
}

// Version returns the snapshot's version.
func (s *Snapshot) Version() Version { return s.version }

// Fingerprint returns the rows' fingerprint.
func (s *Snapshot) Fingerprint() *Fingerprint { return s.print }

// OrderMarked reports whether the order of the rows is part of the version's token,
// see [Edit.MarkOrder].
func (s *Snapshot) OrderMarked() bool { return s.sequence != digest.Sum{} }

// Len returns the number of rows.
func (s *Snapshot) Len() int { return s.rows.Len() }

// Bytes returns the total length of all encoded rows.
func (s *Snapshot) Bytes() int { return s.bytes }

// Cache returns the cache of values derived from the snapshot; see [Memo].
func (s *Snapshot) Cache() *Cache { return s.cache }

// Get returns the row with the key.
func (s *Snapshot) Get(key driver.Key) (Row, bool) {
	e, ok := s.rows.Get(string(key))
	return Row{e, s.print}, ok
}

// Rows iterates over all rows in the binding's order.
func (s *Snapshot) Rows() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		s.ordered.Scan(func(e *entry) bool { return yield(Row{e, s.print}) })
	}
}

// Page iterates over up to limit rows in the binding's order, after skipping offset rows.
// Its cost depends on limit, not on offset. Beyond the end it yields nothing.
func (s *Snapshot) Page(offset, limit int) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		if offset < 0 || limit <= 0 || offset >= s.ordered.Len() {
			return
		}
		s.ordered.ScanFrom(offset, func(e *entry) bool {
			limit--
			return yield(Row{e, s.print}) && limit > 0
		})
	}
}

// HTTPDate returns the snapshot's Last-Modified date: the time of the last change, rounded
// up to the next second. It returns false until that second has come, since two versions
// might share a date shown earlier.
func (s *Snapshot) HTTPDate(now time.Time) (time.Time, bool) { return s.stamp.HTTPDate(now) }

// caches returns the caches of values derived from the snapshot.
func (s *Snapshot) caches() [3]*Cache { return [3]*Cache{s.cache, s.body, s.told} }

type bodyKey struct{}

// Body returns all rows as one JSON array and a newline, in the binding's order. It is
// built on the first call and shared; it must not be modified.
func (s *Snapshot) Body() []byte {
	return Memo(s.body, bodyKey{}, func(c *Charge) []byte {
		b := make([]byte, 0, s.bytes+s.Len()+3)
		b = append(AppendRows(b, s.Rows()), '\n')
		c.Add(cap(b))
		return b
	})
}

// AppendRows appends the rows to dst as one JSON array.
func AppendRows(dst []byte, rows iter.Seq[Row]) []byte {
	dst = append(dst, '[')
	n := 0
	for r := range rows {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, r.JSON()...)
		n++
	}
	return append(dst, ']')
}

// SyncEvent returns the event that replaces all rows by those of the snapshot.
func (s *Snapshot) SyncEvent() *Event {
	s.syncOnce.Do(func() { s.sync = &Event{Kind: Synced, Version: s.version, Snapshot: s, shared: s.told} })
	return s.sync
}
