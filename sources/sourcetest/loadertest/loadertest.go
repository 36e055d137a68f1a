package loadertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// Harness is a loader and the table that it reads.
type Harness[T any] struct {
	// Loader is the subject. Its table holds the rows of Rows and no others.
	Loader driver.Loader[T]
	// Rows are at least three rows with different keys.
	Rows []T
	// Absent is a row whose key none of the table's has.
	Absent T
	// Change writes to one row of the table, so that it reads differently. It
	// returns the row as it reads then. With nil, cases that write are skipped.
	Change func(t *testing.T, row T) T
	// Damage writes what the loader cannot read into one row of the table. With
	// nil, the case about such rows is skipped.
	Damage func(t *testing.T, row T)
}

// patience bounds one case.
const patience = 60 * time.Second

// Run runs each case of the suite as a subtest, over a harness of its own.
func Run[T any](t *testing.T, newHarness func(t *testing.T) Harness[T]) {
	t.Helper()
	for _, c := range []struct {
		name, rule string
		run        func(r *rig[T])
	}{
		{"the schema", "it is valid, and is the same each time", (*rig[T]).schemaHolds},
		{"all rows", "Load without keys reads every row once", (*rig[T]).allRows},
		{"rows by key", "Load with keys reads these rows and no others, and leaves out keys that no row has", (*rig[T]).rowsByKey},
		{"rows of one's own", "no two calls return the same pointer", (*rig[T]).ownRows},
		{"a context that has ended", "a read whose context has ended fails, rather than read nothing", (*rig[T]).endedContext},
		{"a change", "a read that begins after a commit shows it", (*rig[T]).change},
		{"a snapshot", "reads in a snapshot show what was there when it was opened, whatever is committed later", (*rig[T]).snapshot},
		{"pieces", "Scan visits every row once, and stops at the visitor's error", (*rig[T]).scan},
		{"a query", "a query without conditions reads what Load does, and one with keys and a limit reads the first of these in order", (*rig[T]).query},
		{"a row that cannot be read", "it is named by its key, or fails the read; the others are read in either case", (*rig[T]).unreadable},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			r := &rig[T]{Harness: newHarness(t), T: t, ctx: ctx}
			if len(r.Rows) < 3 {
				t.Fatalf("the harness has %d rows, the suite needs at least 3", len(r.Rows))
			}
			if p, ok := r.Loader.(driver.Preparer); ok {
				if _, err := p.Prepare(ctx, nil); err != nil {
					t.Fatalf("Prepare: %v", err)
				}
			}
			var err error
			if r.schema, err = r.Loader.Schema(); err != nil {
				t.Fatalf("Schema: %v", err)
			}
			c.run(r)
			if t.Failed() {
				t.Logf("the rule: %s", c.rule)
			}
		})
	}
}

// rig is a harness in a case.
type rig[T any] struct {
	Harness[T]
	*testing.T
	ctx    context.Context
	schema driver.Schema
}

// keyOf returns the row's key, made of the loader's own values.
func (r *rig[T]) keyOf(row *T) driver.Key {
	var enc []byte
	for _, name := range r.schema.Key {
		at := r.schema.Column(name)
		if at < 0 {
			r.Fatalf("key column %q is not among the columns", name)
		}
		enc = r.Loader.Value(row, at).AppendOrdered(enc)
	}
	return driver.Key(enc)
}

func (r *rig[T]) keys(rows []T) []driver.Key {
	keys := make([]driver.Key, len(rows))
	for i := range rows {
		keys[i] = r.keyOf(&rows[i])
	}
	return keys
}

// byKey indexes what was read, and fails where a key comes twice.
func (r *rig[T]) byKey(rows []*T) map[driver.Key]T {
	r.Helper()
	found := make(map[driver.Key]T, len(rows))
	for _, row := range rows {
		if row == nil {
			r.Fatal("a row is nil")
		}
		key := r.keyOf(row)
		if _, twice := found[key]; twice {
			r.Errorf("row %s was read twice", key)
		}
		found[key] = *row
	}
	return found
}

// shows compares what was read with what should have been.
func (r *rig[T]) shows(what string, read []*T, want []T) {
	r.Helper()
	found := r.byKey(read)
	for i := range want {
		key := r.keyOf(&want[i])
		got, ok := found[key]
		if !ok {
			r.Errorf("%s: row %s is missing", what, key)
			continue
		}
		for column := range r.schema.Columns {
			a, b := r.Loader.Value(&got, column), r.Loader.Value(&want[i], column)
			if !reflect.DeepEqual(a, b) {
				r.Errorf("%s: column %q of row %s is %v, want %v", what, r.schema.Columns[column].Name, key, a, b)
			}
		}
		delete(found, key)
	}
	for _, key := range slices.Sorted(maps.Keys(found)) {
		r.Errorf("%s: row %s was not asked for", what, key)
	}
}

// load reads, and fails the case when that fails.
func (r *rig[T]) load(ctx context.Context, keys []driver.Key) []*T {
	r.Helper()
	rows, err := r.Loader.Load(ctx, keys)
	if err != nil {
		r.Fatalf("Load: %v", err)
	}
	return rows
}

func (r *rig[T]) schemaHolds() {
	if err := r.schema.Validate(); err != nil {
		r.Error(err)
	}
	again, err := r.Loader.Schema()
	if err != nil || fmt.Sprint(again.Columns) != fmt.Sprint(r.schema.Columns) || again.Table != r.schema.Table {
		r.Errorf("the second Schema differs: %v, %v", again, err)
	}
}

func (r *rig[T]) allRows() { r.shows("all rows", r.load(r.ctx, nil), r.Rows) }

func (r *rig[T]) rowsByKey() {
	keys := r.keys(r.Rows)
	r.shows("one key", r.load(r.ctx, keys[1:2]), r.Rows[1:2])
	r.shows("all but the first key", r.load(r.ctx, keys[1:]), r.Rows[1:])
	absent := r.keyOf(&r.Absent)
	r.shows("a key that no row has", r.load(r.ctx, []driver.Key{absent}), nil)
	r.shows("one among others", r.load(r.ctx, []driver.Key{keys[0], absent, keys[2]}), []T{r.Rows[0], r.Rows[2]})
}

func (r *rig[T]) ownRows() {
	seen := make(map[*T]bool)
	for range 2 {
		for _, row := range r.load(r.ctx, nil) {
			if seen[row] {
				r.Errorf("row %s was handed over before", r.keyOf(row))
			}
			seen[row] = true
		}
	}
}

func (r *rig[T]) endedContext() {
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	rows, err := r.Loader.Load(ctx, nil)
	if err == nil && len(rows) != len(r.Rows) {
		r.Errorf("Load returned %d rows of %d and no error", len(rows), len(r.Rows))
	}
}

func (r *rig[T]) change() {
	if r.Change == nil {
		r.Skip("the harness does not write")
	}
	after := r.Change(r.T, r.Rows[1])
	key := []driver.Key{r.keyOf(&after)}
	r.shows("after a change", r.load(r.ctx, key), []T{after})
}

func (r *rig[T]) snapshot() {
	s, ok := r.Loader.(driver.Snapshotter)
	if !ok || r.Change == nil {
		r.Skip("the loader has no snapshots, or the harness does not write")
	}
	snap, err := s.Snapshot(r.ctx)
	if err != nil {
		r.Fatalf("Snapshot: %v", err)
	}
	inside := snap.Context(r.ctx)
	r.shows("in the snapshot", r.load(inside, nil), r.Rows)
	after := r.Change(r.T, r.Rows[1])
	r.shows("in the snapshot, after a commit", r.load(inside, nil), r.Rows)
	snap.Close()
	r.shows("after the snapshot", r.load(r.ctx, []driver.Key{r.keyOf(&after)}), []T{after})
}

func (r *rig[T]) scan() {
	s, ok := r.Loader.(driver.Scanner[T])
	if !ok {
		r.Skip("the loader is no driver.Scanner")
	}
	for _, size := range []int{1, 2, 1000} {
		var all []*T
		err := s.Scan(r.ctx, driver.Query{}, size, func(rows []*T) error {
			all = append(all, rows...)
			return nil
		})
		if errors.Is(err, errors.ErrUnsupported) && len(all) == 0 {
			r.Skip("this table cannot be read in pieces")
		}
		if err != nil {
			r.Fatalf("Scan by %d: %v", size, err)
		}
		r.shows(fmt.Sprintf("pieces of %d", size), all, r.Rows)
	}
	stop, calls := errors.New("enough"), 0
	err := s.Scan(r.ctx, driver.Query{}, 1, func([]*T) error {
		calls++
		return stop
	})
	if !errors.Is(err, stop) || calls != 1 {
		r.Errorf("a visitor who has enough was called %d times, and Scan returned %v", calls, err)
	}
}

func (r *rig[T]) query() {
	q, ok := r.Loader.(driver.Querier[T])
	if !ok {
		r.Skip("the loader is no driver.Querier")
	}
	ask := func(query driver.Query) []*T {
		rows, err := q.Query(r.ctx, query)
		if err != nil {
			r.Fatalf("Query %+v: %v", query, err)
		}
		return rows
	}
	r.shows("no condition", ask(driver.Query{}), r.Rows)
	keys := r.keys(r.Rows)
	r.shows("two keys", ask(driver.Query{Keys: keys[:2]}), r.Rows[:2])
	var order []driver.Order
	for _, name := range r.schema.Key {
		order = append(order, driver.Order{Column: name})
	}
	inOrder := slices.SortedFunc(slices.Values(r.Rows), func(a, b T) int {
		x, y := r.keyOf(&a), r.keyOf(&b)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	r.shows("the first two", ask(driver.Query{Order: order, Limit: 2}), inOrder[:2])
}

func (r *rig[T]) unreadable() {
	if r.Damage == nil {
		r.Skip("the harness cannot damage a row")
	}
	bad := r.keyOf(&r.Rows[1])
	others := append(slices.Clone(r.Rows[:1]), r.Rows[2:]...)
	r.Damage(r.T, r.Rows[1])
	for what, keys := range map[string][]driver.Key{"all rows": nil, "by key": r.keys(r.Rows)} {
		rows, err := r.Loader.Load(r.ctx, keys)
		named := driver.RowErrors(err)
		switch {
		case err == nil:
			r.Errorf("%s: the row was read without an error", what)
		case named == nil: // the engine looks for it by halves
		case len(named) != 1 || named[0].Key != bad:
			r.Errorf("%s: the error names %v, want row %s", what, named, bad)
		default:
			r.shows(what+" beside it", rows, others)
		}
	}
	r.shows("the others by key", r.load(r.ctx, r.keys(others)), others)
	if _, err := r.Loader.Load(r.ctx, []driver.Key{bad}); err == nil {
		r.Error("the row alone was read without an error")
	}
}
