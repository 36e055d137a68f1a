package core

import (
	"iter"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/tidwall/btree"
)

// entry is one row of a snapshot. Entries are immutable and shared between
// snapshots, and their row and json with other bindings that encode alike.
type entry struct {
	key   driver.Key
	order string // where the row stands: its order columns, then its key
	json  []byte
	sum   digest
	row   any // *T
	stamp *stamp
}

// tree is an ordered map of entries; Copy shares everything until it is
// written to.
type tree = btree.Map[string, *entry]

// Row is one encoded row.
type Row struct{ e *entry }

// Key returns the row's key.
func (r Row) Key() driver.Key { return r.e.key }

// JSON returns the encoded row. The bytes are shared: nobody modifies them.
func (r Row) JSON() []byte { return r.e.json }

// Token names the row's content as [Version.Token] names a snapshot's.
func (r Row) Token() string { return r.e.sum.token() }

// Modified returns when this node saw the row change.
func (r Row) Modified() time.Time { return r.e.stamp.modified }

// HTTPDate is as [Snapshot.HTTPDate], for the row alone.
func (r Row) HTTPDate(now time.Time) (time.Time, bool) { return r.e.stamp.httpDate(now) }

// Snapshot is an immutable view of a binding's rows at one version. Whoever
// holds one may read it as long as they like, from any number of goroutines;
// nothing locks and nothing waits.
type Snapshot struct {
	*memo
	version Version
	sum     digest
	stamp   *stamp
	rows    *tree   // by key
	ordered *tree   // by order; the same tree as rows when rows are ordered by key
	bytes   int     // of all encoded rows
	window  *window // what is held beside them; nil: nothing

	body *lazyBody // shared by snapshots of the same content

	syncOnce sync.Once
	sync     *Event
}

// lazyBody is built when first asked for.
type lazyBody struct {
	once  sync.Once
	bytes []byte
}

// Version names the snapshot's content.
func (s *Snapshot) Version() Version { return s.version }

// Len returns the number of rows.
func (s *Snapshot) Len() int { return s.rows.Len() }

// Bytes returns the length of all encoded rows together, in bytes.
func (s *Snapshot) Bytes() int { return s.bytes }

// Get returns the row with the key.
func (s *Snapshot) Get(key driver.Key) (Row, bool) {
	e, ok := s.rows.Get(string(key))
	return Row{e}, ok
}

// Rows iterates over all rows in the binding's order.
func (s *Snapshot) Rows() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		s.ordered.Scan(func(_ string, e *entry) bool { return yield(Row{e}) })
	}
}

// Page iterates over up to limit rows in the binding's order, after skipping
// offset rows. It costs no more than the page, wherever it begins. Beyond the
// end there is nothing.
func (s *Snapshot) Page(offset, limit int) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		if offset < 0 || limit <= 0 || offset >= s.ordered.Len() {
			return
		}
		first, _, ok := s.ordered.GetAt(offset)
		if !ok {
			return
		}
		s.ordered.Ascend(first, func(_ string, e *entry) bool {
			limit--
			return yield(Row{e}) && limit > 0
		})
	}
}

// HTTPDate returns the Last-Modified date of the snapshot: the time of the
// last change rounded up to the next second. It returns false until that
// second has come, since a date shown earlier might be shared by two versions.
func (s *Snapshot) HTTPDate(now time.Time) (time.Time, bool) { return s.stamp.httpDate(now) }

// Body returns all rows as one JSON array, in the binding's order. It is built
// once, on the first call, and shared: nobody modifies it.
func (s *Snapshot) Body() []byte {
	s.body.once.Do(func() {
		b := make([]byte, 0, s.bytes+s.Len()+3)
		s.body.bytes = append(AppendRows(b, s.Rows()), '\n')
	})
	return s.body.bytes
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

// memo keeps what others derive from an immutable value, each thing once.
type memo struct {
	mu   sync.Mutex
	kept map[any]*memoized // guarded by mu
}

type memoized struct {
	once sync.Once
	val  any
}

// Memo returns what build made for the key, calling it at most once for each
// key, also when many ask at the same time. Transports keep here what they
// derive from the value, such as a frame or a compressed body, and so share
// it between all clients; it lives as long as the value does. The key should be of
// a type of the caller's own package, and there should be few different ones.
func (m *memo) Memo(key any, build func() any) any {
	m.mu.Lock()
	k := m.kept[key]
	if k == nil {
		if m.kept == nil {
			m.kept = make(map[any]*memoized)
		}
		k = &memoized{}
		m.kept[key] = k
	}
	m.mu.Unlock()
	k.once.Do(func() { k.val = build() })
	return k.val
}
