package core_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// accounts is the number of accounts at each of the two banks, and amount what each holds
// in the beginning.
const accounts, amount = 20, 100

// banks are two banks in one table: one whose transfers are announced, and a foreign one
// whose transfers are not. Transfers stay within a bank, so every version has to show the
// same total for each.
type banks struct {
	*rig
	all *core.Binding[item]

	mu       sync.Mutex // guards what follows
	versions int
	torn     string // the first version with wrong totals, "" for none
}

// newBanks starts a registry whose every version is looked at.
func newBanks(t *testing.T) *banks {
	t.Helper()
	r := newItems(t, core.Config{})
	for i := range 2 * accounts {
		r.table.Put(item{ID: i, Price: amount, Live: i < accounts})
	}
	b := &banks{rig: r, all: core.Bind("accounts", r.table)}
	_ = r.reg.Use(&observer{on: b.look})
	r.start(t, b.all)
	return b
}

// look checks the totals of a version.
func (b *banks) look(v *live.View, _ *live.Event) {
	totals := map[bool]int{}
	for it := range b.all.All() {
		totals[it.Live] += it.Price
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.versions++; b.torn == "" && (totals[true] != accounts*amount || totals[false] != accounts*amount) {
		b.torn = fmt.Sprintf("version %d shows totals of %v, want %d each", v.Version().Seq, totals, accounts*amount)
	}
}

// seen returns the number of versions so far.
func (b *banks) seen() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.versions
}

// own and foreign return two accounts of a bank, which may be the same.
func (b *banks) own(rng *rand.Rand) []driver.Key {
	return []driver.Key{key(rng.IntN(accounts)), key(rng.IntN(accounts))}
}

func (b *banks) foreign(rng *rand.Rand) []driver.Key {
	return []driver.Key{key(accounts + rng.IntN(accounts)), key(accounts + rng.IntN(accounts))}
}

// transfer moves n from the first account to the second, and calls also in the same commit.
func (b *banks) transfer(keys []driver.Key, n int, also func()) {
	b.table.Edit(func(rows map[driver.Key]item) {
		also()
		if keys[0] == keys[1] {
			return
		}
		from, to := rows[keys[0]], rows[keys[1]]
		from.Price, to.Price = from.Price-n, to.Price+n
		rows[keys[0]], rows[keys[1]] = from, to
	})
}

// end stops the registry, after a look whether the binding has what the table has.
func (b *banks) end(t *testing.T) {
	t.Helper()
	for _, it := range b.table.Rows() {
		if got, _ := b.all.Get(key(it.ID)); got != it {
			t.Errorf("in the end row %d is %+v, want %+v", it.ID, got, it)
		}
	}
	st := b.stats()
	b.stop(t)
	if b.torn != "" {
		t.Errorf("%s (%d versions, %+v)", b.torn, b.versions, st)
	}
}
