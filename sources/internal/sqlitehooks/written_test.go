package sqlitehooks

import (
	"errors"
	"slices"
	"testing"
)

// change is a row that changes: before or after is nil where there is none.
type change struct{ before, after []any }

func (c change) Count() int { return max(len(c.before), len(c.after)) }

func (c change) Old(dest ...any) error { return store(dest, c.before) }

func (c change) New(dest ...any) error { return store(dest, c.after) }

func store(dest, row []any) error {
	if row == nil {
		return errors.New("no such row")
	}
	copy(dest, row)
	return nil
}

// TestWritten: what leaves the file as it is does not pass for a commit that
// writes, and what is certain to change it does.
func TestWritten(t *testing.T) {
	row := func(v ...any) []any { return v }
	one, same, other := row(int64(1), []byte("a")), row(int64(1), []byte("a")), row(int64(1), []byte("b"))
	type event struct {
		database string
		op       Op
		change
	}
	insert := func(r []any) event { return event{"main", OpInsert, change{after: r}} }
	remove := func(r []any) event { return event{"main", OpDelete, change{before: r}} }
	update := func(from, to []any) event { return event{"main", OpUpdate, change{from, to}} }
	for name, c := range map[string]struct {
		events []event
		want   []string
	}{
		"nothing":                      {nil, nil},
		"insert":                       {[]event{insert(one)}, []string{"main"}},
		"delete":                       {[]event{remove(one)}, []string{"main"}},
		"update":                       {[]event{update(one, other)}, []string{"main"}},
		"update by the same":           {[]event{update(one, same)}, nil},
		"REPLACE, perhaps by the same": {[]event{remove(one), insert(same)}, nil},
		"REPLACE, and another insert":  {[]event{remove(one), insert(same), insert(other)}, []string{"main"}},
		"two deletes":                  {[]event{remove(one), remove(other)}, []string{"main"}},
		"a delete and an empty update": {[]event{remove(one), update(one, same)}, []string{"main"}},
		"temporary tables":             {[]event{{"temp", OpInsert, change{after: one}}}, nil},
		"another schema":               {[]event{update(one, same), {"side", OpInsert, change{after: one}}}, []string{"side"}},
	} {
		var w written
		for range 2 { // it begins anew after each commit
			for _, e := range c.events {
				w.note(e.database, e.op, e.change)
			}
			if got := w.take(); !slices.Equal(got, c.want) {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
		}
	}
}
