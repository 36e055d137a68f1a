package sqlitefile

import (
	"bytes"
	"math"
	"path/filepath"
	"reflect"
	"testing"
)

// TestRecord: what SQLite has written is read as what was written, whatever the width of
// its numbers, up to where a row goes on in another page.
func TestRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := open(t, path, "WAL")
	exec(t, db, "CREATE TABLE t (a, b, c)")
	long := bytes.Repeat([]byte("long "), 2000)
	want := [][]any{
		{nil, "", []byte{}},
		{int64(0), int64(1), int64(-1)},
		{int64(127), int64(-128), int64(128)},
		{int64(-32768), int64(32768), int64(-8388608)},
		{int64(8388608), int64(math.MinInt32), int64(math.MaxInt32 + 1)},
		{int64(1<<47 - 1), int64(-1 << 47), int64(1 << 47)},
		{int64(math.MinInt64), int64(math.MaxInt64), 0.5},
		{math.Inf(1), -2.25e300, "ünïcode"},
		{"key", []byte{0, 255}, string(long)},
	}
	for _, row := range want {
		if _, err := db.ExecContext(t.Context(), "INSERT INTO t VALUES (?, ?, ?)", row...); err != nil {
			t.Fatal(err)
		}
	}
	l := NewLog(path)
	now, err := readIndex(l.index)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.follow(now); err != nil {
		t.Fatal(err)
	}
	is := state{log: l, upTo: now.end}
	tree, err := is.tree(rootOf(t, db, "t"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, number := range tree.leaves {
		p, err := is.page(number)
		if err != nil {
			t.Fatal(err)
		}
		err = p.rows(func(id int64, cell []byte, _ chain) {
			_, n := varint(cell)
			_, m := varint(cell[n:])
			row := want[id-1]
			positions := []int{2, 0, 1}
			if id == int64(len(want)) {
				if _, err := record(cell[n+m:]).columns([]int{2}); err == nil {
					t.Error("a column that goes on in another page was read")
				}
				positions = positions[1:]
			}
			got, err := record(cell[n+m:]).columns(positions)
			if err != nil {
				t.Errorf("row %d: %v", id, err)
				return
			}
			for i, p := range positions {
				if !reflect.DeepEqual(got[i], row[p]) {
					t.Errorf("row %d, column %d: got %#v, want %#v", id, p, got[i], row[p])
				}
			}
			if _, err := record(cell[n+m:]).columns([]int{3}); err == nil {
				t.Errorf("row %d: it has a fourth column", id)
			}
			seen++
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen != len(want) {
		t.Errorf("saw %d rows of %d", seen, len(want))
	}
}

// FuzzRecord: a torn page gives an error, or values, and nothing else.
func FuzzRecord(f *testing.F) {
	f.Add([]byte{4, 1, 15, 16, 7, 'a', 1, 2}, 0, 2)
	f.Add([]byte{2, 7}, 0, 0)
	f.Add([]byte{0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 3}, 1, 1)
	f.Fuzz(func(t *testing.T, data []byte, first, second int) {
		values, err := record(data).columns([]int{first & 7, second & 7})
		if (err == nil) != (values != nil) {
			t.Errorf("got %v and %v", values, err)
		}
	})
}
