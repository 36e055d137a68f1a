package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
)

// table is a database's table: rows are numbers. Its bindings hold those rows that
// their divisors divide.
type table struct {
	rows     map[driver.Key]int
	unread   map[driver.Key]bool
	bindings []*holding
	piece    int
	found    int // keys asked for by Find
}

type holding struct {
	divisor int
	rows    map[driver.Key]int
}

func (b *holding) meets(n int) bool { return n%b.divisor == 0 }

func (b *holding) Holds(r Row) (held, same bool) {
	was, held := b.rows[r.Key]
	return held, held && was == r.Value.(int)
}

func (b *holding) Keys(visit func(driver.Key) bool) {
	for k := range b.rows {
		if !visit(k) {
			return
		}
	}
}

func (t *table) Scan(_ context.Context, visit func([]Row) error) (unread []driver.Key, err error) {
	var piece []Row
	for k, n := range t.rows {
		if t.unread[k] {
			unread = append(unread, k)
			continue
		}
		if piece = append(piece, Row{k, n}); len(piece) == t.piece {
			if err := visit(piece); err != nil {
				return nil, err
			}
			piece = nil
		}
	}
	return unread, visit(piece)
}

func (t *table) Find(_ context.Context, keys []driver.Key) (rows []Row, unread []driver.Key, err error) {
	t.found += len(keys)
	for _, k := range keys {
		n, ok := t.rows[k]
		switch {
		case ok && t.unread[k]:
			unread = append(unread, k)
		case ok:
			rows = append(rows, Row{k, n})
		}
	}
	return rows, unread, nil
}

func (t *table) Bindings() (bs []Binding) {
	for _, b := range t.bindings {
		bs = append(bs, b)
	}
	return bs
}

func (t *table) Match(row any, visit func(int)) {
	for i, b := range t.bindings {
		if b.meets(row.(int)) {
			visit(i)
		}
	}
}

// compare returns what a comparison finds; a nil value is a row that is gone.
func (t *table) compare() (found map[driver.Key]any, doubtful map[driver.Key]bool, rows uint64) {
	found, doubtful = make(map[driver.Key]any), make(map[driver.Key]bool)
	c := comparison{
		reading:  t,
		rest:     func(context.Context) error { return nil },
		found:    func(r Row) error { found[r.Key] = r.Value; return nil },
		doubtful: func(k driver.Key) error { doubtful[k] = true; return nil },
	}
	if err := c.run(context.Background()); err != nil {
		panic(err)
	}
	return found, doubtful, c.rows
}

func keyOf(i int) driver.Key { return driver.KeyOf(i) }

// TestCompareAgainstModel: exactly the rows are found by which what is held
// differs from what should be held; given these, nothing differs any more.
func TestCompareAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.IntRange(0, 12)
		fill := func(label string) map[driver.Key]int {
			rows := make(map[driver.Key]int)
			for _, i := range rapid.SliceOfDistinct(rapid.IntRange(0, 20), rapid.ID[int]).Draw(t, label) {
				rows[keyOf(i)] = number.Draw(t, "value")
			}
			return rows
		}
		db := &table{rows: fill("rows"), unread: make(map[driver.Key]bool), piece: rapid.IntRange(1, 5).Draw(t, "piece")}
		for _, k := range slices.Sorted(maps.Keys(db.rows)) {
			if rapid.IntRange(0, 9).Draw(t, "unreadable") == 0 {
				db.unread[k] = true
			}
		}
		for range rapid.IntRange(1, 4).Draw(t, "bindings") {
			db.bindings = append(db.bindings, &holding{divisor: rapid.IntRange(1, 3).Draw(t, "divisor"), rows: fill("held")})
		}
		// What should be held of a key, and whether that is not so.
		differs := func(k driver.Key) bool {
			n, is := db.rows[k]
			for _, b := range db.bindings {
				was, held := b.rows[k]
				if want := is && b.meets(n); held != want || want && was != n {
					return true
				}
			}
			return false
		}
		found, doubtful, rows := db.compare()
		if int(rows) != len(db.rows)-len(db.unread) {
			t.Fatalf("compared %d rows of %d, of which %d cannot be read", rows, len(db.rows), len(db.unread))
		}
		for i := range 21 {
			k := keyOf(i)
			n, isFound := found[k]
			switch {
			case db.unread[k]:
				if isFound || !doubtful[k] {
					t.Fatalf("row %d cannot be read: found %v, doubtful %v", i, isFound, doubtful[k])
				}
				continue
			case isFound != differs(k):
				t.Fatalf("row %d: found %v, differs %v", i, isFound, differs(k))
			case doubtful[k]:
				t.Fatalf("row %d can be read", i)
			}
			if want, ok := db.rows[k]; isFound && (n == nil) == ok || isFound && ok && n != want {
				t.Fatalf("row %d was found as %v, it is %v %v", i, n, want, ok)
			}
			if !isFound {
				continue
			}
			for _, b := range db.bindings {
				delete(b.rows, k)
				if n != nil && b.meets(n.(int)) {
					b.rows[k] = n.(int)
				}
			}
		}
		if again, _, _ := db.compare(); len(again) > 0 {
			t.Fatalf("still different: %v", again)
		}
	})
}

// TestCompareIsCompact: where nothing differs each row is read once; where one is
// gone few others are read again.
func TestCompareIsCompact(t *testing.T) {
	const n = 100_000
	db := &table{rows: make(map[driver.Key]int), piece: 500}
	all, even := &holding{divisor: 1, rows: make(map[driver.Key]int)}, &holding{divisor: 2, rows: make(map[driver.Key]int)}
	db.bindings = []*holding{all, even}
	for i := range n {
		db.rows[keyOf(i)], all.rows[keyOf(i)] = i, i
		if i%2 == 0 {
			even.rows[keyOf(i)] = i
		}
	}
	if found, _, rows := db.compare(); len(found) > 0 || rows != n || db.found > 0 {
		t.Errorf("found %d rows to differ of %d that were read, and read %d again", len(found), rows, db.found)
	}
	delete(db.rows, keyOf(4))
	if found, _, _ := db.compare(); len(found) != 1 || db.found > 100 {
		t.Errorf("one is gone: found %v, and read %d rows again", found, db.found)
	}
}

func BenchmarkCompare(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			db := &table{rows: make(map[driver.Key]int), piece: 500, bindings: []*holding{{divisor: 1, rows: make(map[driver.Key]int)}}}
			for i := range n {
				db.rows[keyOf(i)], db.bindings[0].rows[keyOf(i)] = i, i
			}
			b.ReportAllocs()
			for b.Loop() {
				db.compare()
			}
		})
	}
}
