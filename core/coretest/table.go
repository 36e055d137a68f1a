package coretest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// Table is a database table in memory: a [driver.Loader] over a map, with
// transactions and snapshots. All methods may be called from any goroutine.
type Table[T any] struct {
	*driver.Description[T]
	schema driver.Schema

	writing sync.Mutex // held by the one transaction under way

	mu          sync.Mutex // guards what follows
	rows        map[driver.Key]T
	fail        error
	hold        chan struct{}
	loads       int
	keys        int
	scans       int
	rowsScanned int
}

var (
	_ driver.Loader[struct{}]  = (*Table[struct{}])(nil)
	_ driver.Scanner[struct{}] = (*Table[struct{}])(nil)
	_ driver.Snapshotter       = (*Table[struct{}])(nil)
	_ driver.Writer[struct{}]  = (*Table[struct{}])(nil)
)

// NewTable returns an empty table with that name. Its columns are the fields of T, see
// [driver.Describe]; key names the key columns. It panics when T is not a struct or lacks
// these fields.
func NewTable[T any](name string, key ...string) *Table[T] {
	d := driver.Describe[T](driver.Table{Name: name}, key...)
	schema, err := d.Schema()
	if err != nil {
		panic(err)
	}
	for _, k := range key {
		if schema.Column(k) < 0 {
			panic(fmt.Sprintf("coretest: table %q has no column %q", name, k))
		}
	}
	return &Table[T]{Description: d, schema: schema, rows: make(map[driver.Key]T)}
}

// Name returns the table, as used in changes.
func (t *Table[T]) Name() driver.Table { return t.schema.Table }

// KeyOf returns the key of the row.
func (t *Table[T]) KeyOf(row T) driver.Key {
	var enc []byte
	for _, k := range t.schema.Key {
		enc = t.Value(&row, t.schema.Column(k)).AppendOrdered(enc)
	}
	return driver.Key(enc)
}

// Put writes rows in one commit, and returns the change to report. It does not report it
// itself.
func (t *Table[T]) Put(rows ...T) driver.Change {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := driver.Change{Table: t.schema.Table, Keys: []driver.Key{}}
	for _, r := range rows {
		k := t.KeyOf(r)
		t.rows[k] = r
		c.Keys = append(c.Keys, k)
	}
	return c
}

// Remove removes rows in one commit, and returns the change to report. It does not report
// it itself.
func (t *Table[T]) Remove(keys ...driver.Key) driver.Change {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range keys {
		delete(t.rows, k)
	}
	return driver.Change{Table: t.schema.Table, Keys: append([]driver.Key{}, keys...)}
}

// Edit changes rows in any way, in one commit. It reports nothing itself.
func (t *Table[T]) Edit(change func(rows map[driver.Key]T)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(t.rows)
}

// Rows returns a copy of the table's rows.
func (t *Table[T]) Rows() map[driver.Key]T {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.rows)
}

// Fail makes every read fail with err from now on; nil ends that.
func (t *Table[T]) Fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fail = err
}

// Hold makes later reads wait, after they have seen the rows, until release is called.
func (t *Table[T]) Hold() (release func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	hold := make(chan struct{})
	t.hold = hold
	return sync.OnceFunc(func() {
		t.mu.Lock()
		if t.hold == hold {
			t.hold = nil
		}
		t.mu.Unlock()
		close(hold)
	})
}

// Reads returns the number of reads, and the total number of keys that they asked for.
func (t *Table[T]) Reads() (loads, keys int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.loads, t.keys
}

// Scans returns the number of pieces read by Scan, and the total number of rows in them.
func (t *Table[T]) Scans() (pieces, rows int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.scans, t.rowsScanned
}

// Scan implements [driver.Scanner], for queries without Where. It reads in the order of
// keys. Without a snapshot each piece shows the rows of its own moment.
func (t *Table[T]) Scan(ctx context.Context, q driver.Query, size int, visit func([]*T) error) error {
	if q.Where != nil {
		return fmt.Errorf("coretest: scanning with Where: %w", errors.ErrUnsupported)
	}
	keep := func(*T) bool { return true }
	if q.Filter != nil {
		program, err := filter.Compile(q.Filter, func(name string) (int, value.Kind, bool) {
			c := t.schema.Column(name)
			return c, t.schema.Columns[max(c, 0)].Kind, c >= 0
		})
		if err != nil {
			return err
		}
		keep = func(row *T) bool {
			return program.Eval(func(c int) value.Value { return t.Value(row, c) }) == filter.True
		}
	}
	snap, inSnapshot := t.seenBy(ctx)
	after, first := driver.Key(""), true
	for {
		t.mu.Lock()
		rows, err := t.rows, t.fail
		if inSnapshot {
			rows = snap
		}
		keys := slices.DeleteFunc(slices.Sorted(maps.Keys(rows)), func(k driver.Key) bool { return !first && k <= after })
		keys = keys[:min(size, len(keys))]
		piece := make([]*T, 0, len(keys))
		for _, k := range keys {
			if r := rows[k]; keep(&r) {
				piece = append(piece, &r)
			}
		}
		t.scans++
		t.rowsScanned += len(piece)
		t.mu.Unlock()
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case len(keys) == 0:
			return nil
		}
		if err := visit(piece); err != nil {
			return err
		}
		first, after = false, keys[len(keys)-1]
		if len(keys) < size {
			return nil
		}
	}
}

// seenBy returns the rows that a snapshot or a transaction sees.
func (t *Table[T]) seenBy(ctx context.Context) (map[driver.Key]T, bool) {
	rows, ok := ctx.Value(snapshotKey[T]{t}).(map[driver.Key]T)
	return rows, ok
}

type snapshotKey[T any] struct{ t *Table[T] }

// Snapshot implements [driver.Snapshotter], for this table alone.
func (t *Table[T]) Snapshot(context.Context) (driver.Snapshot, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fail != nil {
		return nil, t.fail
	}
	return snapshot{snapshotKey[T]{t}, maps.Clone(t.rows)}, nil
}

// snapshot holds the rows that a context carries.
type snapshot struct{ key, rows any }

func (s snapshot) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, s.key, s.rows)
}

func (snapshot) Close() {}

// Load implements [driver.Loader].
func (t *Table[T]) Load(ctx context.Context, keys []driver.Key) ([]*T, error) {
	t.mu.Lock()
	t.loads++
	t.keys += len(keys)
	rows, err, hold := t.rows, t.fail, t.hold
	if snap, ok := t.seenBy(ctx); ok {
		rows = snap
	}
	var out []*T
	if keys == nil {
		out = make([]*T, 0, len(rows))
		for _, r := range rows {
			out = append(out, &r)
		}
	}
	for _, k := range keys {
		if r, ok := rows[k]; ok {
			out = append(out, &r)
		}
	}
	t.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return out, nil
}
