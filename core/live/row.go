package live

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/digest"
)

// Row is one row of a snapshot, encoded. Rows are immutable and shared between
// snapshots. The methods of the zero Row answer zero values.
type Row struct {
	e     *entry
	print *Fingerprint // of the binding that the row belongs to
}

// entry is the content of a row. Members of a family that show the row share it.
type entry struct {
	key      driver.Key
	orderKey string // the order columns, then the key
	json     []byte
	value    any // *T, or *deferred
	stamp    *digest.Stamp
	// numbered says that the order key is not part of the content.
	numbered bool
	// restored says that an earlier run saved the row.
	restored bool

	holders atomic.Int32 // the number of views with an account that show it
	proven  atomic.Bool  // see Row.Proven
}

// sum returns the digest of the row in a binding. It is recomputed each time: storing it
// for each of many members would cost more memory than the time is worth.
func (e *entry) sum(print *Fingerprint) digest.Sum {
	orderKey := e.orderKey
	if e.numbered {
		orderKey = ""
	}
	return digest.Of(print.raw[:], []byte(e.key), []byte(orderKey), e.json)
}

// shows reports whether clients see the two as the same.
func (e *entry) shows(o *entry) bool {
	return e == o || e.key == o.key && e.numbered == o.numbered && (e.numbered || e.orderKey == o.orderKey) && bytes.Equal(e.json, o.json)
}

// cost returns the row's size in bytes: that of its Go value, estimated by the length of
// its encoded form, and that of the encoded form.
func (e *entry) cost() (row, encoding int) {
	return entryOverhead + len(e.key) + len(e.orderKey) + len(e.json), cap(e.json)
}

// entryOverhead is the size of an entry without the data that it refers to, in bytes.
const entryOverhead = 224

// IsZero reports whether there is no row: after a delete, and when Get finds no such key.
func (r Row) IsZero() bool { return r.e == nil }

// Key returns the row's key.
func (r Row) Key() driver.Key {
	if r.e == nil {
		return ""
	}
	return r.e.key
}

// JSON returns the encoded row. The bytes are shared and must not be modified.
func (r Row) JSON() []byte {
	if r.e == nil {
		return nil
	}
	return r.e.json
}

// Value returns the Go value that the row was made from, a pointer to the binding's row
// type. It is nil for the zero Row, and in a snapshot that is not [Snapshot.Valued]. It is
// shared and must not be modified.
func (r Row) Value() any {
	if r.e == nil {
		return nil
	}
	if d, ok := r.e.value.(*deferred); ok {
		return d.get()
	}
	return r.e.value
}

// OrderKey returns the key that orders the binding's rows, compared byte by byte. Clients
// do not see it.
func (r Row) OrderKey() string {
	if r.e == nil {
		return ""
	}
	return r.e.orderKey
}

// Token identifies the row's content as [Version.Token] identifies a snapshot's.
func (r Row) Token() string {
	if r.e == nil {
		return ""
	}
	return r.e.sum(r.print).Token()
}

// Equal reports whether both rows show the same content: the same bytes, with the same order key.
// Their Go values may differ.
func (r Row) Equal(o Row) bool {
	if r.e == nil || o.e == nil {
		return r.e == o.e
	}
	return r.print == o.print && r.e.shows(o.e)
}

// Modified returns when this node saw the row change.
func (r Row) Modified() time.Time {
	if r.e == nil {
		return time.Time{}
	}
	return r.e.stamp.Modified
}

// HTTPDate is [Snapshot.HTTPDate] for a single row.
func (r Row) HTTPDate(now time.Time) (time.Time, bool) {
	if r.e == nil {
		return time.Time{}, false
	}
	return r.e.stamp.HTTPDate(now)
}

// Fingerprint identifies everything beside the rows that decides what clients see of a
// binding. It is part of the token of each row and version, so that no two bindings share
// tokens.
type Fingerprint struct {
	sum digest.Sum
	raw [16]byte
}

// NewFingerprint returns the fingerprint of the parts. ("ab", "c") and ("a", "bc") differ.
func NewFingerprint(parts ...string) *Fingerprint {
	raw := make([][]byte, len(parts))
	for i, p := range parts {
		raw[i] = []byte(p)
	}
	sum := digest.Of(raw...)
	return &Fingerprint{sum: sum, raw: sum.Bytes()}
}

// Bytes returns the fingerprint as [Saved] has it.
func (p *Fingerprint) Bytes() [16]byte { return p.raw }

// String returns the fingerprint as text, which [ParseFingerprint] reads.
func (p *Fingerprint) String() string { return p.sum.Token() }

// ParseFingerprint reads a fingerprint from its String. A node that follows another node's
// binding needs it, so that rows have equal tokens on both.
func ParseFingerprint(text string) (*Fingerprint, error) {
	sum, err := digest.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("live: a fingerprint: %w", err)
	}
	return &Fingerprint{sum: sum, raw: sum.Bytes()}, nil
}

// Content is the content of a row.
type Content struct {
	Key driver.Key
	// OrderKey orders the row among the others, see [Row.OrderKey]. For rows in key order
	// it is the key.
	OrderKey string
	// Numbered says that the order key is a number that depends on history, and so is not
	// part of the content; see [Edit.MarkOrder].
	Numbered bool
	// JSON is the encoded row, and Value a pointer to the Go value. The row owns both from
	// now on; they must not be modified.
	JSON  []byte
	Value any
}

// Row makes a row of the binding. before is the previous row with that key, or the zero
// Row. If the content is the same the row keeps its time of change; otherwise it has
// changed now.
func (p *Fingerprint) Row(c Content, before Row, now time.Time) Row {
	e := &entry{key: c.Key, orderKey: c.OrderKey, json: c.JSON, value: c.Value, numbered: c.Numbered}
	switch {
	case before.e == nil:
		e.stamp = digest.NewStamp(now, nil)
	case before.e.shows(e):
		if e.stamp = before.e.stamp; !before.e.restored { // restored JSON would keep the whole restored buffer alive
			e.json = before.e.json
		}
	default:
		e.stamp = digest.NewStamp(now, before.e.stamp)
	}
	return Row{e, p}
}

// With returns the row with another Go value that encodes to the same JSON, which json
// repeats.
func (r Row) With(value any, json []byte) Row {
	if !r.e.restored { // drop the restored buffer
		json = r.e.json
	}
	return Row{&entry{
		key: r.e.key, orderKey: r.e.orderKey, json: json, stamp: r.e.stamp, numbered: r.e.numbered, value: value,
	}, r.print}
}

// Share returns the row for another binding that shows the same, such as another member of
// the family, so that both hold one copy. before is that binding's previous row with the
// key. It returns false when the binding needs its own row: the previous row shows the
// same, or is not older.
func (r Row) Share(print *Fingerprint, before Row) (Row, bool) {
	if before.e != nil && (before.e.shows(r.e) || !r.e.stamp.After(before.e.stamp)) {
		return Row{}, false
	}
	return Row{r.e, print}, true
}
