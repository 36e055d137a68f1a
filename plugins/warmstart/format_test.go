package warmstart

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// anySaved draws what a binding might have saved.
func anySaved(t *rapid.T) live.Saved {
	s := live.Saved{
		Token:    rapid.StringN(0, 30, -1).Draw(t, "token"),
		Modified: time.Unix(rapid.Int64Range(-1e10, 1e10).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC(),
		Numbered: rapid.Bool().Draw(t, "numbered"),
		Values:   rapid.Bool().Draw(t, "values"),
		Rows:     []live.SavedRow{},
	}
	copy(s.Declared[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "declared"))
	ordered, models := rapid.Bool().Draw(t, "ordered"), rapid.Bool().Draw(t, "models")
	if ordered {
		s.Order = []uint32{}
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "rows") {
		row := live.SavedRow{
			Key:  driver.Key(rapid.StringN(0, 5, -1).Draw(t, "key")),
			JSON: append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "json")...),
		}
		if ordered {
			row.OrderKey = rapid.StringN(0, 5, -1).Draw(t, "place")
			s.Order = append(s.Order, uint32(i))
		}
		if models {
			row.Model = append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "model")...)
		}
		s.Rows = append(s.Rows, row)
	}
	if rapid.Bool().Draw(t, "log") {
		s.Log = anyLog(t)
	}
	return s
}

// anyLog draws a log with at least one event.
func anyLog(t *rapid.T) live.SavedLog {
	log := live.SavedLog{From: rapid.StringN(0, 30, -1).Draw(t, "from")}
	rows := func(what string) (rows []live.SavedRow) {
		for range rapid.IntRange(0, 2).Draw(t, what) {
			row := live.SavedRow{Key: driver.Key(rapid.StringN(0, 5, -1).Draw(t, "key")), OrderKey: rapid.StringN(0, 5, -1).Draw(t, "place"), JSON: []byte(rapid.StringN(0, 9, -1).Draw(t, "json"))}
			if rapid.Bool().Draw(t, "model") {
				row.Model = []byte(rapid.StringN(0, 9, -1).Draw(t, "model's JSON"))
			}
			rows = append(rows, row)
		}
		return rows
	}
	for range rapid.IntRange(1, 3).Draw(t, "events") {
		e := live.SavedEvent{Token: rapid.StringN(0, 30, -1).Draw(t, "token"), Modified: time.Unix(rapid.Int64Range(-1e10, 1e10).Draw(t, "seconds"), 7).UTC()}
		e.Created, e.Updated, e.Deleted = rows("created"), rows("updated"), rows("deleted")
		for range e.Updated {
			e.Before = append(e.Before, [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "before")))
		}
		log.Events = append(log.Events, e)
	}
	return log
}

func encoded(t interface{ Fatal(...any) }, name string, s live.Saved) []byte {
	f := newFile(idOf("a database"), name, s)
	var b bytes.Buffer
	if err := f.write(&b); err != nil {
		t.Fatal(err)
	}
	if int64(b.Len()) != f.size() {
		t.Fatal("the size is", b.Len(), "and was said to be", f.size())
	}
	return b.Bytes()
}

// TestFormat: what is written is what is read.
func TestFormat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anySaved(t)
		got, err := decode(encoded(t, "things", want), idOf("a database"), "things")
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %#v\nwant %#v", got, want)
		}
	})
}

func someSaved() live.Saved {
	return live.Saved{
		Token: "token", Modified: time.Unix(1, 2).UTC(), Values: true, Order: []uint32{1, 0},
		Rows: []live.SavedRow{{Key: "a", OrderKey: "2a", JSON: []byte(`{"id":1}`), Model: []byte(`{"ID":1}`)}, {Key: "b", OrderKey: "1b", JSON: []byte(`{"id":2}`), Model: []byte(`{"ID":2}`)}},
		Log: live.SavedLog{From: "before", Events: []live.SavedEvent{{
			Token: "token", Modified: time.Unix(1, 2).UTC(), Before: [][16]byte{{1, 2}},
			Updated: []live.SavedRow{{Key: "a", OrderKey: "2a", JSON: []byte(`{"id":1}`), Model: []byte(`{"ID":1}`)}},
			Deleted: []live.SavedRow{{Key: "c", OrderKey: "3c", JSON: []byte(`{"id":3}`)}},
		}}},
	}
}

// TestOlderFormat: what a release before the log was kept has written is read.
func TestOlderFormat(t *testing.T) {
	file, err := os.ReadFile("testdata/version1.snapshot")
	if err != nil {
		t.Fatal(err)
	}
	want := someSaved()
	want.Log = live.SavedLog{}
	if got, err := decode(file, idOf("a database"), "things"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%#v, %v", got, err)
	}
}

// TestDamage: no byte can change, and none be missing, without being noticed.
func TestDamage(t *testing.T) {
	whole := encoded(t, "things", someSaved())
	for i := range whole {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			if s, err := decode(b, idOf("a database"), "things"); err == nil {
				t.Fatalf("bit %d of byte %d: %v", bit, i, s)
			}
		}
		if _, err := decode(whole[:i], idOf("a database"), "things"); err == nil {
			t.Fatalf("the first %d bytes are taken", i)
		}
	}
	if _, err := decode(append(bytes.Clone(whole), 0), idOf("a database"), "things"); !errors.Is(err, errDamaged) {
		t.Errorf("a byte too many: %v", err)
	}
}

// TestForeign files say what they are.
func TestForeign(t *testing.T) {
	whole := encoded(t, "things", someSaved())
	if _, err := decode(whole, idOf("another"), "things"); !errors.Is(err, errDatabase) {
		t.Errorf("another database: %v", err)
	}
	if _, err := decode(whole, idOf("a database"), "others"); !errors.Is(err, errBinding) {
		t.Errorf("another binding: %v", err)
	}
	next := bytes.Clone(whole)
	next[8]++
	if _, err := decode(next, idOf("a database"), "things"); !errors.Is(err, errFormat) {
		t.Errorf("another version of the format: %v", err)
	}
}

// FuzzDecode: whatever the bytes are, also where the checksum is right, decoding
// neither panics nor takes more memory than they amount to.
func FuzzDecode(f *testing.F) {
	whole := encoded(f, "things", someSaved())
	f.Add(whole)
	f.Add(whole[:40])
	f.Add(encoded(f, "", live.Saved{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = decode(b, idOf("a database"), "things")
		h, err := readHeader(b)
		if err != nil {
			return
		}
		if err := h.readRows(b); err != nil {
			return
		}
		total := 0
		for _, row := range h.saved.Rows {
			total += len(row.Key) + len(row.OrderKey) + len(row.JSON) + len(row.Model)
		}
		for _, e := range h.saved.Log.Events {
			total += len(e.Token) + 16*len(e.Before)
			for _, rows := range [][]live.SavedRow{e.Created, e.Updated, e.Deleted} {
				for _, row := range rows {
					total += len(row.Key) + len(row.OrderKey) + len(row.JSON) + len(row.Model)
				}
			}
		}
		if total > len(b) || len(h.saved.Rows) > len(b) || len(h.saved.Order) > len(b) {
			t.Fatalf("%d bytes made %d rows of %d bytes, %d in order", len(b), len(h.saved.Rows), total, len(h.saved.Order))
		}
	})
}
