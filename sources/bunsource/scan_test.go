package bunsource

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
)

type scanned struct {
	bun.BaseModel `bun:"table:scanned"`
	A             string `bun:",pk"`
	B             int64  `bun:",pk"`
	Note          int64  `bun:",notnull"`
}

// byKey returns the rows by their keys.
func byKey[T any](t *testing.T, l *Loader[T], rows []*T) map[driver.Key]T {
	t.Helper()
	m, err := l.model()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[driver.Key]T, len(rows))
	for _, r := range rows {
		k := m.KeyOf(reflect.ValueOf(r).Elem())
		if _, again := all[k]; again {
			t.Fatalf("row %s was read twice", k)
		}
		all[k] = *r
	}
	return all
}

func scan[T any](t *testing.T, l *Loader[T], q driver.Query, size int) (rows []*T, pieces int, err error) {
	t.Helper()
	err = l.Scan(t.Context(), q, size, func(some []*T) error {
		rows = append(rows, some...)
		pieces++
		return nil
	})
	return rows, pieces, err
}

// TestScan: pieces of any size are together what one read of everything is, by
// keys of several columns and texts of all sorts too.
func TestScan(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		var rows []scanned
		for i, a := range []string{"", "a", "A", "b'", "ä", "Z", "10", "9", " x", "x "} {
			for b := range 5 {
				rows = append(rows, scanned{A: a, B: int64(b - 2), Note: int64(i * b)})
			}
		}
		createTable(t, db, rows...)
		l := preparedLoader[scanned](t, db)
		for _, q := range []driver.Query{{}, {Filter: filter.Gt("note", 6)}} {
			all, err := l.Query(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			want := byKey(t, l, all)
			for _, size := range []int{1, 2, 7, len(all), len(all) + 1, 1000} {
				got, pieces, err := scan(t, l, q, size)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(byKey(t, l, got), want) {
					t.Errorf("in pieces of %d: %d rows, want %d", size, len(got), len(want))
				}
				if min := (len(all) + size - 1) / size; pieces < min || pieces > min+1 {
					t.Errorf("%d rows in pieces of %d: %d pieces", len(all), size, pieces)
				}
			}
		}
		stop := errors.New("enough")
		if err := l.Scan(t.Context(), driver.Query{}, 3, func([]*scanned) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("stopped with %v", err)
		}
		if err := l.Scan(t.Context(), driver.Query{Limit: 3}, 3, nil); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("of a limited query: %v", err)
		}
	})
}

// TestScanLeavesOutWhatCannotBeRead: rows whose values do not fit their fields are
// told by key, and the others read.
func TestScanLeavesOutWhatCannotBeRead(t *testing.T) {
	db := loaderSQLite(t, walMode)
	var rows []scanned
	for i := range 100 {
		rows = append(rows, scanned{A: "x", B: int64(i)})
	}
	createTable(t, db, rows...)
	mustExec(t, db, "UPDATE scanned SET note = 'no number' WHERE b IN (0, 13, 14, 99)")
	l := preparedLoader[scanned](t, db)
	snap, release, err := openedIn(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	var got []*scanned
	err = l.Scan(snap, driver.Query{}, 10, func(some []*scanned) error { got = append(got, some...); return nil })
	bad := driver.RowErrors(err)
	if len(bad) != 4 || len(byKey(t, l, got)) != 96 {
		t.Fatalf("%d rows, and %v", len(got), err)
	}
	var keys []string
	for _, e := range bad {
		keys = append(keys, e.Key.String())
	}
	if want := []string{"x,0", "x,13", "x,14", "x,99"}; !slices.Equal(keys, want) {
		t.Errorf("%v cannot be read, want %v", keys, want)
	}
	mustExec(t, db, "UPDATE scanned SET note = 'no number'")
	if _, _, err := scan(t, l, driver.Query{}, 10); err == nil || driver.RowErrors(err) != nil {
		t.Errorf("when no row can be read: %v", err)
	}
}

// TestScanWithRelations: rows are read in pieces together with what they show.
func TestScanWithRelations(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		type scanBook struct {
			bun.BaseModel `bun:"table:scan_books"`
			ID            int64 `bun:",pk"`
			AuthorID      int64
		}
		type scanAuthor struct {
			bun.BaseModel `bun:"table:scan_authors"`
			ID            int64       `bun:",pk"`
			Books         []*scanBook `bun:"rel:has-many,join:id=author_id"`
		}
		var authors []scanAuthor
		var books []scanBook
		for i := range 20 {
			authors = append(authors, scanAuthor{ID: int64(i)})
			for j := range i % 4 {
				books = append(books, scanBook{ID: int64(10*i + j), AuthorID: int64(i)})
			}
		}
		createTable(t, db, authors...)
		createTable(t, db, books...)
		l := NewLoader[scanAuthor](db).WithRelations("Books").(*Loader[scanAuthor])
		if err := l.refine(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := l.Load(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{1, 6, 20, 50} {
			got, _, err := scan(t, l, driver.Query{}, size)
			if err != nil {
				t.Fatal(err)
			}
			shown := func(rows []*scanAuthor) (out []string) {
				for _, a := range rows {
					out = append(out, fmt.Sprint(a.ID, len(a.Books)))
				}
				slices.Sort(out)
				return out
			}
			if !slices.Equal(shown(got), shown(all)) {
				t.Errorf("in pieces of %d: %v, want %v", size, shown(got), shown(all))
			}
		}
	})
}
