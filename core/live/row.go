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
	print *Fingerprint // of the binding that it is a row of
}

// entry is what a row holds. Members of a family that show the row share it.
type entry struct {
	key   driver.Key
	place string // where the row stands: its order columns, then its key
	json  []byte
	value any // *T, or *deferred
	stamp *digest.Stamp
	// unplaced says that the place is no part of the content.
	unplaced bool
	// restored says that the row was saved by an earlier run.
	restored bool

	holders atomic.Int32 // views with an account that show it
	proven  atomic.Bool  // see Row.Proven
}

// sum returns the digest of the row in a binding. It is not kept: that would
// take as much memory as it saves time, in each of many members.
func (e *entry) sum(print *Fingerprint) digest.Sum {
	place := e.place
	if e.unplaced {
		place = ""
	}
	return digest.Of(print.raw[:], []byte(e.key), []byte(place), e.json)
}

// shows reports whether both show clients the same.
func (e *entry) shows(o *entry) bool {
	return e == o || e.key == o.key && e.unplaced == o.unplaced && (e.unplaced || e.place == o.place) && bytes.Equal(e.json, o.json)
}

// cost returns what the row takes, in bytes: its Go value, which is taken to be
// as large as its encoded form, and that.
func (e *entry) cost() (row, encoding int) {
	return entryOverhead + len(e.key) + len(e.place) + len(e.json), cap(e.json)
}

// entryOverhead is what an entry takes beside what it refers to, in bytes.
const entryOverhead = 224

// IsZero reports that there is no row: what a write returns after a delete, and
// Get for a key that the snapshot does not hold.
func (r Row) IsZero() bool { return r.e == nil }

// Key returns the row's key.
func (r Row) Key() driver.Key {
	if r.e == nil {
		return ""
	}
	return r.e.key
}

// JSON returns the encoded row. The bytes are shared: nobody modifies them.
func (r Row) JSON() []byte {
	if r.e == nil {
		return nil
	}
	return r.e.json
}

// Value returns the Go value that the row was made from: a pointer to the
// binding's row type, nil for the zero Row, and for one of a snapshot that is not
// [Snapshot.Valued]. It is shared: nobody modifies it.
func (r Row) Value() any {
	if r.e == nil {
		return nil
	}
	if d, ok := r.e.value.(*deferred); ok {
		return d.get()
	}
	return r.e.value
}

// OrderKey is what orders the binding's rows: they come in the order of their order
// keys, compared byte by byte. Clients are not shown it.
func (r Row) OrderKey() string {
	if r.e == nil {
		return ""
	}
	return r.e.place
}

// Numbered says that the order key is a number which depends on what happened before, and
// so is no part of the row's content; see [Content].Numbered.
func (r Row) Numbered() bool { return r.e != nil && r.e.unplaced }

// Token names the row's content as [Version.Token] names a snapshot's.
func (r Row) Token() string {
	if r.e == nil {
		return ""
	}
	return r.e.sum(r.print).Token()
}

// Equal reports whether both rows show the same content: the same bytes, at the
// same place. What only Go code can see of them may differ.
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

// HTTPDate is as [Snapshot.HTTPDate], for the row alone.
func (r Row) HTTPDate(now time.Time) (time.Time, bool) {
	if r.e == nil {
		return time.Time{}, false
	}
	return r.e.stamp.HTTPDate(now)
}

// Fingerprint stands for everything that decides what clients see of a binding
// beside its rows. It is part of each row's token and of each version's, so that
// no two bindings share tokens.
type Fingerprint struct {
	sum digest.Sum
	raw [16]byte
}

// NewFingerprint returns the fingerprint of the parts, whose boundaries count.
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

// ParseFingerprint returns the fingerprint that its String has written, as a node that
// follows another one's binding has to: rows have equal tokens on both then.
func ParseFingerprint(text string) (*Fingerprint, error) {
	sum, err := digest.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("live: a fingerprint: %w", err)
	}
	return &Fingerprint{sum: sum, raw: sum.Bytes()}, nil
}

// Content is what a row is made of.
type Content struct {
	Key driver.Key
	// OrderKey orders the row among the others, see [Row.OrderKey]. Rows that are ordered by
	// their keys stand at these.
	OrderKey string
	// Numbered says that the order key is a number which depends on what happened
	// before, and so no part of the content; see [Edit.MarkOrder].
	Numbered bool
	// JSON is the encoded row, Value the Go value, a pointer. Both are the row's
	// from now on: nobody modifies them.
	JSON  []byte
	Value any
}

// Row makes a row of the binding. before is the row of that key as it was, the
// zero Row if there was none: what shows the same content has not changed since
// then, and what shows another has changed now.
func (p *Fingerprint) Row(c Content, before Row, now time.Time) Row {
	e := &entry{key: c.Key, place: c.OrderKey, json: c.JSON, value: c.Value, unplaced: c.Numbered}
	switch {
	case before.e == nil:
		e.stamp = digest.NewStamp(now, nil)
	case before.e.shows(e):
		if e.stamp = before.e.stamp; !before.e.restored { // which holds on to all that was restored
			e.json = before.e.json
		}
	default:
		e.stamp = digest.NewStamp(now, before.e.stamp)
	}
	return Row{e, p}
}

// With returns the row with another Go value, which shows clients the same: its
// encoded form, which is json too.
func (r Row) With(value any, json []byte) Row {
	if !r.e.restored { // what was restored is let go
		json = r.e.json
	}
	return Row{&entry{
		key: r.e.key, place: r.e.place, json: json, stamp: r.e.stamp, unplaced: r.e.unplaced, value: value,
	}, r.print}
}

// Share returns the row as one of another binding that shows it alike, as a
// member of the same family does, so that both hold it once. before is the row of
// that key as the other binding had it. It returns false when the other needs a
// row of its own: what was there before shows the same, or is not older.
func (r Row) Share(print *Fingerprint, before Row) (Row, bool) {
	if before.e != nil && (before.e.shows(r.e) || !r.e.stamp.After(before.e.stamp)) {
		return Row{}, false
	}
	return Row{r.e, print}, true
}
