package core_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
)

// changeLog is a log of commits, some of which it cannot tell.
type changeLog struct {
	mu      sync.Mutex
	commits [][]driver.Key // nil: it cannot tell
	asked   int
}

func (l *changeLog) add(keys ...driver.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commits = append(l.commits, keys)
}

// questions returns how often the log was asked.
func (l *changeLog) questions() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

func (l *changeLog) Position() (driver.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return driver.Position(strconv.Itoa(len(l.commits))), nil
}

func (l *changeLog) Changed(_ context.Context, tables []driver.Table, after driver.Position) (map[driver.Table][]driver.Key, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	from, _ := strconv.Atoi(string(after))
	var keys []driver.Key
	for _, commit := range l.commits[from:] {
		if commit == nil {
			return nil, errors.New("it does not tell")
		}
		keys = append(keys, commit...)
	}
	return map[driver.Table][]driver.Key{tables[0]: keys}, nil
}

// gatedScan holds up comparisons while its gate is held.
type gatedScan struct {
	*coretest.Table[item]
	gate     sync.Mutex
	scanning chan struct{} // gets a value at the beginning of each comparison
}

func (g *gatedScan) Scan(ctx context.Context, q driver.Query, size int, visit func([]*item) error) error {
	select {
	case g.scanning <- struct{}{}:
	default:
	}
	g.gate.Lock()
	defer g.gate.Unlock()
	return g.Table.Scan(ctx, q, size, visit)
}

// TestLogTellsBeforeTheComparison: what the log tells shows while the comparison is still
// under way. After a commit that it cannot tell nothing of the kind shows, since it might
// be a part of something, before a comparison that began later has ended.
func TestLogTellsBeforeTheComparison(t *testing.T) {
	r := newItems(t, core.Config{})
	loader := &gatedScan{Table: r.table, scanning: make(chan struct{}, 1)}
	b := core.Bind("items", loader)
	for i := range 9 {
		r.table.Put(item{ID: i, Name: "old"})
	}
	r.start(t, b)
	defer r.stop(t)
	log := &changeLog{}
	var compared driver.Receipt
	wait := func() {
		t.Helper()
		loader.gate.Unlock()
		if err := compared.Wait(r.ctx); err != nil {
			t.Fatal(err)
		}
	}
	commit := func(name string, told bool, ids ...int) {
		r.table.Edit(func(rows map[driver.Key]item) {
			var keys []driver.Key
			for _, id := range ids {
				rows[key(id)] = item{ID: id, Name: name}
				keys = append(keys, key(id))
			}
			if !told {
				keys = nil
			}
			log.add(keys...)
		})
		compared = r.source.Sink().Report(driver.Change{Table: r.table.Name(), Compare: true, Log: log})
	}
	names := func() (all string) {
		// A batch that begins now ends after one that has asked the log.
		r.report(t, driver.Change{Table: r.table.Name(), Keys: []driver.Key{key(100)}})
		for it := range b.All() {
			all += it.Name + " "
		}
		return all
	}
	expect := func(when, want string) {
		t.Helper()
		if got := names(); got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
	}

	loader.gate.Lock()
	version := b.Version().Seq
	commit("told", true, 0, 1)
	expect("while the table is compared", "told told old old old old old old old ")
	if seq := b.Version().Seq; seq != version+1 {
		t.Errorf("one commit made %d versions", seq-version)
	}
	commit("untold", false, 2, 3)
	commit("later", true, 3, 4)
	expect("after a commit that the log cannot tell", "told told old old old old old old old ")
	wait()
	expect("after the comparison", "told told untold later later old old old old ")

	loader.gate.Lock()
	commit("told", true, 5, 6)
	expect("when the comparison has closed the gap", "told told untold later later told told old old ")
	wait()

	// A source that has no log makes a gap as well, as does one that had lost its sight.
	loader.gate.Lock()
	r.source.Sink().Report(driver.Change{Table: r.table.Name(), Compare: true})
	commit("last", true, 7, 8)
	expect("after a report without a log", "told told untold later later told told old old ")
	wait()
	expect("in the end", "told told untold later later told told last last ")
}

// TestCommitsInALogAreWhole: transactions of others, of which the log tells most, show as
// a whole, beside own ones, whatever is compared meanwhile.
func TestCommitsInALogAreWhole(t *testing.T) {
	b := newBanks(t)
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	log := &changeLog{}
	var work sync.WaitGroup
	work.Go(func() { // own
		rng := rand.New(rand.NewPCG(1, 1))
		for ctx.Err() == nil {
			c := driver.Change{Table: b.table.Name(), Keys: b.own(rng)}
			a := b.source.Sink().Announce(c)
			b.transfer(c.Keys, rng.IntN(5), func() {})
			_ = a.Confirm().Wait(ctx)
		}
	})
	work.Go(func() { // others
		rng := rand.New(rand.NewPCG(2, 2))
		for ctx.Err() == nil {
			keys := b.foreign(rng)
			b.transfer(keys, rng.IntN(5), func() {
				if rng.IntN(10) == 0 {
					log.add()
				} else {
					log.add(keys...)
				}
			})
			if rng.IntN(2) == 0 {
				b.source.Sink().Report(driver.Change{Table: b.table.Name(), Compare: true, Log: log})
			}
			time.Sleep(time.Duration(rng.IntN(300)) * time.Microsecond)
		}
	})
	wait(t, "enough has been seen", func() bool { return b.seen() >= 300 && b.stats().Comparisons >= 2 && log.questions() >= 10 })
	cancel()
	work.Wait()
	if err := b.source.Sink().Report(driver.Change{Table: b.table.Name(), Compare: true, Log: log}).Wait(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.end(t)
}
