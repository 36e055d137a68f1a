package core_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/status"
)

func (r *rig) compare(t fatalTester) {
	t.Helper()
	r.report(t, driver.Change{Table: r.table.Name(), Compare: true})
}

func (r *rig) stats() status.Feed { return r.reg.Status().Tables[0] }

// TestCompare: whatever changed behind everybody's back is found, by every kind of
// binding, without a read of the whole table; where nothing did, there is no
// version.
func TestCompare(t *testing.T) {
	r := newItems(t, core.Config{})
	for i := range 50 {
		r.table.Put(item{ID: i, Name: fmt.Sprint(i), Price: i, Live: i%2 == 0})
	}
	all := core.Bind("all", r.table)
	alive := core.Bind("alive", r.table, core.Where(filter.Eq("live", true)))
	first := core.Bind("first", r.table, core.OrderBy("price"), core.Limit(3))
	r.start(t, all, alive, first)
	defer r.stop(t)
	before, version := r.stats(), all.Version()
	r.compare(t)
	if st := r.stats(); st.Comparisons != 1 || st.Compared < 50 || st.ComparedFound != 0 || all.Version() != version {
		t.Errorf("nothing had changed: %+v", st)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 100 {
		r.table.Edit(func(rows map[driver.Key]item) {
			for range rng.IntN(5) {
				id := rng.IntN(60)
				if rng.IntN(3) == 0 {
					delete(rows, key(id))
					continue
				}
				rows[key(id)] = item{ID: id, Name: fmt.Sprint(round), Price: rng.IntN(100), Live: rng.IntN(2) == 0}
			}
		})
		r.compare(t)
		want := r.table.Rows()
		if all.Len() != len(want) {
			t.Fatalf("round %d: %d rows are held, want %d", round, all.Len(), len(want))
		}
		living, prices := 0, []int{}
		for k, it := range want {
			if got, ok := all.Get(key(it.ID)); !ok || got != it {
				t.Fatalf("round %d: row %v is %+v (%v), want %+v", round, k, got, ok, it)
			}
			if it.Live {
				living++
				if got, ok := alive.Get(key(it.ID)); !ok || got != it {
					t.Fatalf("round %d: row %v is %+v (%v) among those alive, want %+v", round, k, got, ok, it)
				}
			}
			prices = append(prices, it.Price)
		}
		if alive.Len() != living {
			t.Fatalf("round %d: %d are alive, want %d", round, alive.Len(), living)
		}
		slices.Sort(prices)
		got := []int{}
		for it := range first.All() {
			got = append(got, it.Price)
		}
		if !slices.Equal(got, prices[:3]) {
			t.Fatalf("round %d: the first are %v, want %v", round, got, prices[:3])
		}
	}
	if st := r.stats(); st.WholeReads != before.WholeReads || st.ComparedReread != 0 {
		t.Errorf("before %+v, then %+v", before, st)
	}
	if err := core.CheckHeld(r.ctx, r.reg); err != nil {
		t.Error(err)
	}
}

// TestCompareInParts: more rows than the bound are published in several batches.
func TestCompareInParts(t *testing.T) {
	r := newItems(t, core.Config{MaxBatchKeys: 10})
	b := core.Bind("items", r.table)
	r.start(t, b)
	defer r.stop(t)
	for i := range 35 {
		r.table.Put(item{ID: i})
	}
	before := b.Version().Seq
	r.compare(t)
	if st := r.stats(); b.Len() != 35 || b.Version().Seq-before != 4 || st.ComparedParts != 3 {
		t.Errorf("%d rows in %d versions: %+v", b.Len(), b.Version().Seq-before, st)
	}
}

// TestCompareDelaysNobody: while a comparison waits for the database reports
// are read, and it leaves the rows that they brought as they are.
func TestCompareDelaysNobody(t *testing.T) {
	r := newItems(t, core.Config{})
	scanning, goOn := make(chan struct{}), make(chan struct{})
	loader := &pausedScan{Table: r.table, scanning: scanning, goOn: goOn}
	b := core.Bind("items", loader)
	for i := range 3 {
		r.table.Put(item{ID: i, Name: "old"})
	}
	r.start(t, b)
	defer r.stop(t)
	// Behind everybody's back, before the comparison's snapshot.
	r.table.Put(item{ID: 0, Name: "found"}, item{ID: 1, Name: "found"})
	compared := r.source.Sink().Report(driver.Change{Table: r.table.Name(), Compare: true})
	<-scanning
	r.report(t, r.table.Put(item{ID: 1, Name: "newer"}, item{ID: 5, Name: "new"}))
	if it, _ := b.Get(key(1)); it.Name != "newer" {
		t.Errorf("while the table is compared: %+v", it)
	}
	r.report(t, r.table.Remove(key(2)))
	close(goOn)
	if err := compared.Wait(r.ctx); err != nil {
		t.Fatal(err)
	}
	var names []string
	for it := range b.All() {
		names = append(names, fmt.Sprint(it.ID, it.Name))
	}
	if want := []string{"0found", "1newer", "5new"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
}

// TestCompareBesideAFullRead: a binding is read in full while something is committed that only
// a comparison can find, and the read ends before the comparison does. The read is older
// than the commit, so the table is compared once more.
func TestCompareBesideAFullRead(t *testing.T) {
	r := newItems(t, core.Config{})
	scan := &pausedScan{Table: r.table, scanning: make(chan struct{}), goOn: make(chan struct{})}
	loader := &pausedLoad{pausedScan: scan, loading: make(chan struct{}), goOn: make(chan struct{})}
	b := core.Bind("items", loader)
	r.table.Put(item{ID: 0, Name: "old"}, item{ID: 1, Name: "old"})
	r.start(t, b)
	defer r.stop(t)
	loader.armed.Store(true)
	asked := make(chan error, 1)
	go func() { asked <- b.Resync(r.ctx) }()
	<-loader.loading
	r.table.Put(item{ID: 0, Name: "found"}) // behind everybody's back
	compared := r.source.Sink().Report(driver.Change{Table: r.table.Name(), Compare: true})
	<-scan.scanning
	close(loader.goOn)
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	close(scan.goOn)
	if err := compared.Wait(r.ctx); err != nil {
		t.Fatal(err)
	}
	wait(t, "the commit shows", func() bool { it, _ := b.Get(key(0)); return it.Name == "found" })
}

// pausedLoad pauses after it has read everything, once it is armed.
type pausedLoad struct {
	*pausedScan
	armed         atomic.Bool
	loading, goOn chan struct{}
}

func (p *pausedLoad) Load(ctx context.Context, keys []driver.Key) ([]*item, error) {
	rows, err := p.Table.Load(ctx, keys)
	if keys == nil && p.armed.CompareAndSwap(true, false) {
		close(p.loading)
		<-p.goOn
	}
	return rows, err
}

// pausedScan pauses at the first piece of a comparison.
type pausedScan struct {
	*coretest.Table[item]
	scanning, goOn chan struct{}
	once           sync.Once
}

func (p *pausedScan) Scan(ctx context.Context, q driver.Query, size int, visit func([]*item) error) error {
	p.once.Do(func() {
		close(p.scanning)
		<-p.goOn
	})
	return p.Table.Scan(ctx, q, size, visit)
}

// TestForeignTransactionsAreWhole: transactions that nobody reports, and that a
// comparison finds, show as a whole, beside own ones that are announced; own
// transactions are whole too, and in the end everything is as in the database.
func TestForeignTransactionsAreWhole(t *testing.T) {
	b := newBanks(t)
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	var work sync.WaitGroup
	for w := range 3 {
		work.Go(func() { // own
			rng := rand.New(rand.NewPCG(1, uint64(w)))
			for ctx.Err() == nil {
				c := driver.Change{Table: b.table.Name(), Keys: b.own(rng)}
				a := b.source.Sink().Announce(c)
				b.transfer(c.Keys, rng.IntN(5), func() {})
				runtime.Gosched()
				receipt := a.Confirm()
				if rng.IntN(2) == 0 {
					_ = receipt.Wait(ctx)
				}
			}
		})
	}
	work.Go(func() { // others
		rng := rand.New(rand.NewPCG(2, 2))
		for ctx.Err() == nil {
			b.transfer(b.foreign(rng), rng.IntN(5), func() {})
			time.Sleep(time.Duration(rng.IntN(300)) * time.Microsecond)
		}
	})
	work.Go(func() {
		for ctx.Err() == nil {
			_ = b.source.Sink().Report(driver.Change{Table: b.table.Name(), Compare: true}).Wait(ctx)
		}
	})
	wait(t, "enough has been seen", func() bool {
		st := b.stats()
		return b.seen() >= 300 && st.Comparisons >= 30 && st.ComparedFound >= 30
	})
	cancel()
	work.Wait()
	if err := b.reg.Flush(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.compare(t)
	b.end(t)
}

// TestCompareConverges: own and foreign writes of the same rows, side by side with
// comparisons, end with what the database has.
func TestCompareConverges(t *testing.T) {
	r := newItems(t, core.Config{})
	all := core.Bind("all", r.table)
	alive := core.Bind("alive", r.table, core.Where(filter.Eq("live", true)))
	r.start(t, all, alive)
	defer r.stop(t)
	ctx, cancel := context.WithTimeout(r.ctx, time.Second)
	defer cancel()
	var work sync.WaitGroup
	for w := range 4 {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(w)))
			for n := 0; ctx.Err() == nil; n++ {
				id := rng.IntN(30)
				c := driver.Change{Table: r.table.Name(), Keys: []driver.Key{key(id)}}
				r.table.Edit(func(rows map[driver.Key]item) {
					if rng.IntN(3) == 0 {
						delete(rows, key(id))
					} else {
						rows[key(id)] = item{ID: id, Name: fmt.Sprint(w, n), Live: rng.IntN(2) == 0}
					}
				})
				switch w {
				case 0, 1:
					_ = r.source.Sink().Report(c).Wait(ctx)
				case 2:
					r.source.Sink().Report(driver.Change{Table: r.table.Name(), Compare: true})
					time.Sleep(time.Millisecond)
				default:
					time.Sleep(100 * time.Microsecond)
				}
			}
		})
	}
	work.Wait()
	if err := r.reg.Flush(r.ctx); err != nil {
		t.Fatal(err)
	}
	r.compare(t)
	want := r.table.Rows()
	living := 0
	for _, it := range want {
		if got, ok := all.Get(key(it.ID)); !ok || got != it {
			t.Errorf("row %d is %+v, want %+v", it.ID, got, it)
		}
		if it.Live {
			living++
		}
	}
	if all.Len() != len(want) || alive.Len() != living {
		t.Errorf("%d rows, %d of them alive; want %d, %d", all.Len(), alive.Len(), len(want), living)
	}
	if err := core.CheckHeld(r.ctx, r.reg); err != nil {
		t.Error(err)
	}
}

// TestStaleUntilCompared: after a source had lost its sight the bindings of a
// large table are stale until everything has been compared.
func TestStaleUntilCompared(t *testing.T) {
	r := newItems(t, core.Config{MaxBatchKeys: 1})
	r.table.Put(item{ID: 2}, item{ID: 3})
	scanning, goOn := make(chan struct{}), make(chan struct{})
	b := core.Bind("items", &pausedScan{Table: r.table, scanning: scanning, goOn: goOn})
	r.start(t, b)
	defer r.stop(t)
	r.source.Sink().Lost(nil)
	r.table.Put(item{ID: 1})
	r.source.Sink().Watching()
	<-scanning
	if st := b.Status(); st.State != status.Stale || st.Err == nil {
		t.Errorf("while the table is compared: %+v", st)
	}
	close(goOn)
	if err := r.reg.Flush(r.ctx); err != nil {
		t.Fatal(err)
	}
	if st := b.Status(); st.State != status.Live || b.Len() != 3 {
		t.Errorf("then: %+v, %d rows", st, b.Len())
	}
}
