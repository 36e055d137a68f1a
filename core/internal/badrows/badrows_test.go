package badrows_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/badrows"
)

// table is a table of which some rows cannot be read.
type table struct {
	bad   map[driver.Key]bool
	named bool // errors name the rows
	away  bool
	reads int
}

func (t *table) load(_ context.Context, keys []driver.Key) error {
	t.reads++
	if t.away {
		return errors.New("away")
	}
	var errs []error
	for _, k := range keys {
		switch {
		case t.bad[k] && t.named:
			errs = append(errs, &driver.RowError{Key: k, Err: errors.New("bad")})
		case t.bad[k]:
			return fmt.Errorf("one of %d rows is bad", len(keys))
		}
	}
	return errors.Join(errs...)
}

// TestFind: exactly the bad rows are found, in few reads. A database that is away is not
// taken for bad rows, unless every row is bad and nothing else tells that it is there.
func TestFind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 100).Draw(t, "keys")
		keys := make([]driver.Key, n)
		tab := &table{bad: make(map[driver.Key]bool), named: rapid.Bool().Draw(t, "named"), away: rapid.IntRange(0, 4).Draw(t, "away") == 0}
		share := rapid.IntRange(0, 100).Draw(t, "percent bad")
		for i := range keys {
			keys[i] = driver.KeyOf(i)
			if rapid.IntRange(0, 99).Draw(t, "bad") < share {
				tab.bad[keys[i]] = true
			}
		}
		known := !tab.away && rapid.Bool().Draw(t, "known to be there")
		bad, there := badrows.Find(t.Context(), tab.load, keys, known)
		if tab.away {
			if there {
				t.Fatal("a database that is away counts as there")
			}
			if tab.reads > 20 {
				t.Fatalf("%d reads of a database that is away", tab.reads)
			}
			return
		}
		if !there {
			if known || len(tab.bad) < n/4 {
				t.Fatalf("%d bad rows of %d make the database count as away", len(tab.bad), n)
			}
			return
		}
		for _, k := range keys {
			if _, found := bad[k]; found != tab.bad[k] {
				t.Fatalf("row %v is bad: %v, found: %v", k, tab.bad[k], found)
			}
		}
		if tab.reads > 2*n {
			t.Fatalf("%d reads for %d rows", tab.reads, n)
		}
	})
}

// TestFindIsBounded: when very many rows are bad, the search ends, and all rows that are left
// count as unreadable.
func TestFindIsBounded(t *testing.T) {
	tab := &table{bad: make(map[driver.Key]bool)}
	keys := make([]driver.Key, 10_000)
	for i := range keys {
		keys[i] = driver.KeyOf(i)
		tab.bad[keys[i]] = true
	}
	if bad, there := badrows.Find(t.Context(), tab.load, keys, true); !there || len(bad) != len(keys) || tab.reads > 2*badrows.MaxFailures {
		t.Errorf("%d bad rows of %d, there: %v, in %d reads", len(bad), len(keys), there, tab.reads)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, there := badrows.Find(ctx, tab.load, keys[:1], true); there {
		t.Error("a search that was cut off says that the database is there")
	}
}

// TestAnswers: any answer counts, also that a row is bad; no row, no answer.
func TestAnswers(t *testing.T) {
	one := []driver.Key{driver.KeyOf(1)}
	for _, c := range []struct {
		table table
		keys  []driver.Key
		want  bool
	}{
		{table{}, one, true},
		{table{bad: map[driver.Key]bool{one[0]: true}, named: true}, one, true},
		{table{away: true}, one, false},
		{table{}, nil, false},
	} {
		if got := badrows.Answers(t.Context(), c.table.load, c.keys); got != c.want {
			t.Errorf("%+v: %v", c.table, got)
		}
	}
}
