package core

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// candidate is a row as read, before it is known which bindings hold it. It is
// shared by the bindings of one loader.
type candidate struct {
	key   driver.Key
	row   any
	json  []byte     // as the zero encoder makes it; nil: not yet made
	shown []encoding // by other encoders
}

// candidates turns rows as a loader returned them into candidates. Rows whose
// key cannot be told are returned apart.
func (sh *shape) candidates(r reader, rows []any) (out []candidate, nameless []namelessRow) {
	out = make([]candidate, 0, len(rows))
	for _, row := range rows {
		key, err := guard("Value", func() (driver.Key, error) { return sh.keyOf(r, row) })
		if err != nil {
			nameless = append(nameless, namelessRow{row, err})
			continue
		}
		out = append(out, candidate{key: key, row: row})
	}
	return out, nameless
}

// holds is the test for membership that is made in memory.
func (sh *shape) holds(r reader, row any) bool {
	return sh.meets(func(column int) value.Value { return r.value(row, column) })
}

// meets is holds for a row of which get returns the values, so that many
// bindings can be asked about one row.
func (sh *shape) meets(get func(column int) value.Value) bool {
	return sh.program == nil || sh.program.Eval(get) == filter.True
}

// sumOf returns the digest of the row in its binding. The buffer is scratch
// space, returned for the next call.
func (sh *shape) sumOf(e *entry, buf []byte) (digest, []byte) {
	order := e.order
	if sh.collated { // a number that depends on what happened before; see resequence
		order = ""
	}
	return digestOf(buf, sh.print, []byte(e.key), []byte(order), e.json)
}

// transition is a binding's way from one snapshot to the next: rows are put and
// removed, and what really differs becomes the event.
type transition struct {
	v       *publisher
	sh      *shape
	now     time.Time
	rows    *tree
	ordered *tree
	sum     digest
	bytes   int
	event   Event
	hidden  bool         // something changed in what the rows' encoding does not show
	unseen  []driver.Key // of rows that changed so, without a window
	scratch *[]byte

	// Of a binding with a window. Its event is made in the end, by settle.
	from      *Snapshot // nil: from nothing
	window    *window
	touched   map[driver.Key]struct{} // rows that may have come, gone or moved
	order     []driver.Key            // of touched, as they came
	unplaced  bool                    // only the database knows where a row stands
	settled   bool
	short     bool // rows were left out, so fewer than the limit may be shown
	reordered bool // the order differs and no row does
}

// begin starts a transition from the snapshot, or from nothing.
// The buffer is scratch space.
func (v *publisher) begin(sh *shape, from *Snapshot, now time.Time, buf *[]byte) *transition {
	t := &transition{v: v, sh: sh, now: now, sum: sh.base, scratch: buf, from: from}
	if from == nil {
		if v.windowed() {
			t.window = newWindow()
		}
		t.rows = &tree{}
		t.ordered = t.rows
		if sh.order != nil {
			t.ordered = &tree{}
		}
		return t
	}
	t.rows = from.rows.Copy()
	t.ordered = t.rows
	if sh.order != nil {
		t.ordered = from.ordered.Copy()
	}
	t.sum, t.bytes = from.sum, from.bytes
	if from.window != nil {
		t.window = from.window.copy()
	}
	return t
}

// put makes the row part of the snapshot.
func (t *transition) put(c *candidate) error {
	r := t.v.read
	js, err := c.encoded(r, t.sh.enc)
	if err != nil {
		return err
	}
	if t.window != nil {
		t.hold(c, js, nil, unranked)
		return nil
	}
	order := t.sh.orderOf(r, c.row, c.key)
	old, exists := t.rows.Get(string(c.key))
	if exists && old.order == order && bytes.Equal(old.json, js) {
		// An equal row is no event. Go code may see more of it than clients do
		// (fields that are not encoded): then it gets the new one.
		if !reflect.DeepEqual(old.row, c.row) {
			e := *old
			e.row = c.row
			t.set(&e)
			t.hidden, t.unseen = true, append(t.unseen, c.key)
		}
		return nil
	}
	e := &entry{key: c.key, order: order, json: js, row: c.row}
	e.sum, *t.scratch = t.sh.sumOf(e, *t.scratch)
	var prev *stamp
	if exists {
		prev = old.stamp
		t.unset(old)
	}
	e.stamp = newStamp(t.now, prev)
	t.set(e)
	t.sum = t.sum.add(e.sum)
	t.bytes += len(e.json)
	if exists {
		t.event.Updated = append(t.event.Updated, Row{e})
	} else {
		t.event.Created = append(t.event.Created, Row{e})
	}
	return nil
}

// remove takes the row out of the snapshot, if it was in it.
func (t *transition) remove(key driver.Key) {
	if t.window != nil {
		t.drop(key)
		return
	}
	old, ok := t.rows.Get(string(key))
	if !ok {
		return
	}
	t.unset(old)
	t.event.Deleted = append(t.event.Deleted, Row{old})
}

func (t *transition) set(e *entry) {
	t.rows.Set(string(e.key), e)
	if t.ordered != t.rows {
		t.ordered.Set(e.order, e)
	}
}

func (t *transition) unset(e *entry) {
	t.rows.Delete(string(e.key))
	if t.ordered != t.rows {
		t.ordered.Delete(e.order)
	}
	t.sum = t.sum.sub(e.sum)
	t.bytes -= len(e.json)
}

// replace makes the candidates all there is. Those that cannot be encoded are
// given to fail.
func (t *transition) replace(all []*candidate, fail func(driver.Key, error)) {
	keep := make(map[driver.Key]struct{}, len(all))
	for _, c := range all {
		keep[c.key] = struct{}{}
	}
	if len(keep) < len(all) {
		fail("", t.sh.sameKeys())
		return
	}
	var gone []driver.Key
	t.rows.Scan(func(key string, e *entry) bool {
		if _, ok := keep[driver.Key(key)]; !ok {
			gone = append(gone, e.key)
		}
		return true
	})
	for _, key := range gone {
		t.remove(key)
	}
	for _, c := range all {
		if err := t.put(c); err != nil {
			fail(c.key, err)
		}
	}
}

func (sh *shape) sameKeys() error {
	return fmt.Errorf("table %q: two rows of one key: the key columns %q do not tell rows apart", sh.schema.Table, sh.schema.Key)
}

// finish publishes the result. With sync set it is published even when nothing
// differs, and subscribers get a sync. It is called by the feed's goroutine. It
// reports whether the binding has taken the result over; one that has
// ended does not.
func (t *transition) finish(sync bool) bool {
	cur := t.v.current.Load()
	changed := cur == nil || t.event.Len() > 0
	sync = sync || t.reordered
	if sync && cur != nil { // begun with nothing, so the event says nothing
		changed = t.sum != cur.sum
	}
	if !changed && !t.hidden && !sync {
		return true
	}
	next := &Snapshot{memo: &memo{}, sum: t.sum, rows: t.rows, ordered: t.ordered, window: t.window, bytes: t.bytes, body: &lazyBody{}}
	if !changed {
		// The same content: the same version, and what was built for it.
		next.version, next.stamp = cur.version, cur.stamp
		if !sync {
			next.body, next.memo = cur.body, cur.memo
		}
		return t.v.publish(next, nil, sync)
	}
	var before Version
	var prev *stamp
	if cur != nil {
		before, prev = cur.version, cur.stamp
	}
	next.stamp = newStamp(t.now, prev)
	next.version = Version{Token: t.sum.token(), Seq: before.Seq + 1, Modified: next.stamp.modified}
	e := &t.event
	e.From, e.Version = before.Token, next.version
	e.measure()
	return t.v.publish(next, e, sync)
}

// firstRows returns the first n rows in the binding's order, for loaders that
// do not limit their answers.
func (sh *shape) firstRows(r reader, rows []*candidate, n int) []*candidate {
	type placed struct {
		order string
		at    int
	}
	places := make([]placed, len(rows))
	for i := range rows {
		places[i] = placed{sh.orderOf(r, rows[i].row, rows[i].key), i}
	}
	slices.SortFunc(places, func(a, b placed) int { return strings.Compare(a.order, b.order) })
	first := make([]*candidate, n)
	for i := range first {
		first[i] = rows[places[i].at]
	}
	return first
}
