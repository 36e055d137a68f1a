package live

import (
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/digest"
)

// Row is one row of a snapshot, encoded. Rows are immutable and shared between
// snapshots. The methods of the zero Row answer zero values.
type Row struct{ e *entry }

// entry is what a row holds. Its value and json may be shared with rows of
// other bindings that encode alike.
type entry struct {
	key   driver.Key
	place string // where the row stands: its order columns, then its key
	json  []byte
	value any // *T
	sum   digest.Sum
	stamp *digest.Stamp
}

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
// binding's row type, nil for the zero Row. It is shared: nobody modifies it.
func (r Row) Value() any {
	if r.e == nil {
		return nil
	}
	return r.e.value
}

// Place says where the row stands among the binding's rows: places compare, byte
// by byte, as the rows are ordered. Clients are not shown it.
func (r Row) Place() string {
	if r.e == nil {
		return ""
	}
	return r.e.place
}

// Token names the row's content as [Version.Token] names a snapshot's.
func (r Row) Token() string {
	if r.e == nil {
		return ""
	}
	return r.e.sum.Token()
}

// Equal reports whether both rows show the same content: the same bytes, at the
// same place. What only Go code can see of them may differ.
func (r Row) Equal(o Row) bool {
	if r.e == nil || o.e == nil {
		return r.e == o.e
	}
	return r.e.sum == o.e.sum
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

// Content is what a row is made of.
type Content struct {
	Key driver.Key
	// Place says where the row stands, see [Row.Place]. Rows that are ordered by
	// their keys stand at these.
	Place string
	// Numbered says that the place is a number which depends on what happened
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
	e := &entry{key: c.Key, place: c.Place, json: c.JSON, value: c.Value}
	counted := c.Place
	if c.Numbered {
		counted = ""
	}
	e.sum = digest.Of(p.raw[:], []byte(c.Key), []byte(counted), c.JSON)
	switch {
	case before.e == nil:
		e.stamp = digest.NewStamp(now, nil)
	case before.e.sum == e.sum:
		e.json, e.stamp = before.e.json, before.e.stamp
	default:
		e.stamp = digest.NewStamp(now, before.e.stamp)
	}
	return Row{e}
}

// With returns the row with another Go value, which shows clients the same.
func (r Row) With(value any) Row {
	e := *r.e
	e.value = value
	return Row{&e}
}
