package core_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// sale is the row of a second table.
type sale struct {
	ID     int `json:"id"`
	Item   int `json:"item"`
	Amount int `json:"amount"`
}

// total is a row made of both tables.
type total struct {
	Name   string `json:"name"`
	Sales  int    `json:"sales"`
	Amount int    `json:"amount"`
}

// totals is what a query would be that joins and groups the two tables.
type totals struct {
	*driver.Description[total]
	items *coretest.Table[item]
	sales *coretest.Table[sale]
	deps  []driver.Table

	mu      sync.Mutex // guards what follows
	reads   int
	rows    []*total // instead of the tables', if set
	missing []driver.Table
	takes   time.Duration
}

func newTotals(items *coretest.Table[item], deps ...driver.Table) *totals {
	return &totals{
		Description: driver.Describe[total](driver.Table{Name: "query totals"}, "name"),
		items:       items, sales: coretest.NewTable[sale]("sales", "id"), deps: deps,
	}
}

func (l *totals) Schema() (driver.Schema, error) {
	s, err := l.Description.Schema()
	s.Depends = l.deps
	return s, err
}

func (l *totals) Load(context.Context, []driver.Key) ([]*total, error) {
	time.Sleep(l.takes)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	if l.rows != nil {
		return l.rows, nil
	}
	return l.compute(), nil
}

func (l *totals) compute() []*total {
	items := l.items.Rows()
	byName := map[string]*total{}
	for _, s := range l.sales.Rows() {
		it, ok := items[key(s.Item)]
		if !ok {
			continue
		}
		if byName[it.Name] == nil {
			byName[it.Name] = &total{Name: it.Name}
		}
		byName[it.Name].Sales++
		byName[it.Name].Amount += s.Amount
	}
	var out []*total
	for _, t := range byName {
		out = append(out, t)
	}
	return out
}

func (l *totals) Prepare(context.Context, []driver.Table) (warnings []error, err error) {
	for _, t := range l.missing {
		warnings = append(warnings, driver.Undeclared(t))
	}
	return warnings, nil
}

func (l *totals) readCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reads
}

func (l *totals) answer(rows ...*total) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = rows
}

var (
	itemsTable = driver.Table{Name: "items"}
	salesTable = driver.Table{Name: "sales"}
)

func newTotalsRig(t fatalTester, cfg core.Config) (*rig, *totals) {
	r := newItems(t, cfg)
	l := newTotals(r.table, itemsTable, salesTable)
	r.table.Put(item{ID: 1, Name: "pen"}, item{ID: 2, Name: "ink"})
	l.sales.Put(sale{ID: 1, Item: 1, Amount: 5})
	return r, l
}

// TestDependentBindingFollowsItsTables changes the two tables that a binding is
// made of, and demands that whoever waits for the report finds it up to date.
func TestDependentBindingFollowsItsTables(t *testing.T) {
	r, l := newTotalsRig(t, core.Config{})
	b := core.Bind("totals", l, core.OrderBy("-amount"), core.Tune(core.Tuning{WritesWait: true}))
	r.start(t, b, core.Bind("items", r.table))
	defer r.stop(t)
	want := func(rows ...total) {
		t.Helper()
		if got := slices.Collect(b.All()); !slices.Equal(got, rows) {
			t.Fatalf("binding has %v, want %v", got, rows)
		}
	}
	want(total{"pen", 1, 5})
	r.report(t, l.sales.Put(sale{ID: 2, Item: 2, Amount: 7}))
	want(total{"ink", 1, 7}, total{"pen", 1, 5})
	r.report(t, r.table.Put(item{ID: 2, Name: "pen"})) // a row of both tables' making goes
	want(total{"pen", 2, 12})

	version, reads := b.Version(), l.readCount()
	r.report(t, driver.Change{Table: driver.Table{Name: "others"}})
	r.report(t, driver.Change{Table: salesTable, Keys: []driver.Key{}}) // of no row at all
	if l.readCount() != reads {
		t.Error("read again for what does not concern it")
	}
	r.report(t, driver.Change{Table: salesTable})
	if l.readCount() != reads+1 || b.Version() != version {
		t.Error("want one read and the same version after a false alarm")
	}
	r.report(t, driver.Change{}) // every table of the database: still one read
	if got := l.readCount(); got != reads+2 {
		t.Errorf("%d reads for a change of every table, want 1", got-reads-1)
	}

	// A commit that is announced shows once it is confirmed, and holds up nothing.
	a := r.source.Sink().Announce(driver.Change{Table: salesTable})
	r.report(t, r.table.Put(item{ID: 3, Name: "cap"}))
	l.sales.Put(sale{ID: 3, Item: 3, Amount: 1})
	if err := a.Confirm().Wait(r.ctx); err != nil {
		t.Fatal(err)
	}
	want(total{"pen", 2, 12}, total{"cap", 1, 1})

	l.sales.Edit(func(rows map[driver.Key]sale) { delete(rows, key(3)) })
	drift, err := b.Verify(r.ctx)
	if err != nil || !slices.Equal(drift.Extra, []driver.Key{driver.KeyOf("cap")}) || drift.Len() != 1 {
		t.Errorf("Verify found %v (%v), want the one row that went unreported", drift, err)
	}
	want(total{"pen", 2, 12})
}

// TestDependentBindingKeepsFilterAndLimit filters and limits in memory what a
// loader without queries reads.
func TestDependentBindingKeepsFilterAndLimit(t *testing.T) {
	r, l := newTotalsRig(t, core.Config{})
	b := core.Bind("best", l, core.Where(filter.Gt("amount", 2)), core.OrderBy("-amount"), core.Limit(1), core.Tune(core.Tuning{WritesWait: true}))
	r.start(t, b)
	defer r.stop(t)
	r.report(t, l.sales.Put(sale{ID: 2, Item: 2, Amount: 7}))
	if got := slices.Collect(b.All()); !slices.Equal(got, []total{{"ink", 1, 7}}) {
		t.Errorf("got %v", got)
	}
	r.report(t, l.sales.Remove(key(2)))
	if got := slices.Collect(b.All()); !slices.Equal(got, []total{{"pen", 1, 5}}) {
		t.Errorf("got %v", got)
	}
}

// TestDependenciesByOption adds dependencies to a loader that knows of none, as
// for a view of the database.
func TestDependenciesByOption(t *testing.T) {
	r, l := newTotalsRig(t, core.Config{})
	l.deps = nil
	b := core.Bind("totals", l, core.DependsOn(salesTable), core.DependsOn(itemsTable, salesTable), core.Tune(core.Tuning{WritesWait: true}))
	r.start(t, b)
	defer r.stop(t)
	if got := b.Schema().Depends; !slices.Equal(got, []driver.Table{salesTable, itemsTable}) {
		t.Errorf("Depends is %v", got)
	}
	r.report(t, l.sales.Put(sale{ID: 2, Item: 2, Amount: 7}))
	if b.Len() != 2 {
		t.Errorf("%d rows, want 2", b.Len())
	}
}

// TestSinkShowsDependencies looks at what a source is told of while bindings
// come and go.
func TestSinkShowsDependencies(t *testing.T) {
	r, l := newTotalsRig(t, core.Config{})
	r.start(t, core.Bind("totals", l))
	defer r.stop(t)
	sink := r.source.Sink()
	tables := func() (names []string, keyed int, changed <-chan struct{}) {
		schemas, changed := sink.Tables()
		for _, s := range schemas {
			names = append(names, s.Table.String())
			if len(s.Key) > 0 {
				keyed++
			}
		}
		return names, keyed, changed
	}
	names, keyed, changed := tables()
	if !slices.Equal(names, []string{"items", "sales"}) || keyed != 0 {
		t.Fatalf("tables %v, %d with a key; want the two that are depended on, without", names, keyed)
	}
	if err := r.reg.Add(core.Bind("sales", l.sales), core.Bind("items", r.table), core.Bind("more", coretest.NewTable[item]("more", "id"))); err != nil {
		t.Fatal(err)
	}
	<-changed
	names, keyed, changed = tables()
	if !slices.Equal(names, []string{"items", "sales", "more"}) || keyed != 3 {
		t.Fatalf("tables %v, %d with a key; want three", names, keyed)
	}
	for _, name := range []string{"more", "items", "totals"} {
		if err := r.reg.Remove(r.ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	<-changed
	if names, _, _ := tables(); !slices.Equal(names, []string{"sales"}) {
		t.Errorf("tables %v after the others were removed", names)
	}
	reads := l.readCount()
	r.report(t, l.sales.Put(sale{ID: 9, Item: 1}))
	if l.readCount() != reads {
		t.Error("a binding that was removed is read")
	}
}

// scoped sees one table, and loses it on demand.
type scoped struct {
	coretest.Source
	table driver.Table
}

func (s *scoped) Scope() driver.Scope { return driver.Scope{Tables: []driver.Table{s.table}} }

// TestStateOfDependentBinding has one of two sources lose its sight.
func TestStateOfDependentBinding(t *testing.T) {
	r, l := newTotalsRig(t, core.Config{})
	b := core.Bind("totals", l)
	items, sales := &scoped{table: itemsTable}, &scoped{table: salesTable}
	_ = r.reg.Watch(items, sales) // named tables, that are only depended on
	_ = r.reg.Add(b)
	if err := r.reg.Start(r.ctx); err != nil {
		t.Fatal(err)
	}
	defer r.stop(t)
	if st := b.Status(); st.State != status.Live {
		t.Fatalf("state %v (%v), want live", st.State, st.Err)
	}
	sales.Sink().Lost(errors.New("cut off"))
	if st := b.Status(); st.State != status.Stale || st.Err == nil {
		t.Errorf("state %v (%v), want stale", st.State, st.Err)
	}
	l.sales.Put(sale{ID: 2, Item: 2, Amount: 7}) // unseen
	sales.Sink().Watching()                      // has it read again
	if err := r.reg.Flush(r.ctx); err != nil {
		t.Fatal(err)
	}
	if st := b.Status(); st.State != status.Live || b.Len() != 2 {
		t.Errorf("state %v, %d rows; want live, 2", st.State, b.Len())
	}
}

// TestDependencyProblems makes the mistakes that Start finds.
func TestDependencyProblems(t *testing.T) {
	r, l := newTotalsRig(t, core.Config{})
	_ = r.reg.Add(
		core.Bind("nameless", l, core.DependsOn(driver.Table{Schema: "public"})),
		core.Bind("hasty", l, core.Tune(core.Tuning{MinInterval: -time.Second})),
		core.Bind("plain", r.table, core.Tune(core.Tuning{MinInterval: time.Second})),
	)
	_ = r.reg.Watch(&scoped{table: driver.Table{Name: "others"}})
	wantErr(t, r.reg.Start(r.ctx),
		`"nameless"`, "a table without a name",
		`"hasty"`, "-1s",
		`"plain"`, "DependsOn",
		`"others"`, "which no binding reads")
	r.stop(t)
}

// TestRowsWithoutAKeyOfTheirOwn reads what no binding can hold, and recovers.
func TestRowsWithoutAKeyOfTheirOwn(t *testing.T) {
	r, l := newTotalsRig(t, core.Config{})
	b := core.Bind("totals", l)
	l.answer(&total{Name: "pen"}, &total{Name: "pen"})
	r.start(t, b)
	defer r.stop(t)
	wantErr(t, b.Status().Err, `binding "totals"`, "two rows of one key", `"name"`)
	l.answer(&total{Name: "pen"})
	if err := b.Resync(r.ctx); err != nil || b.Len() != 1 {
		t.Errorf("%d rows (%v), want 1", b.Len(), err)
	}
}

// TestUndeclaredDependenciesAreLogged has the database tell of a table that the
// declaration forgot.
func TestUndeclaredDependenciesAreLogged(t *testing.T) {
	for name, c := range map[string]struct {
		missing []driver.Table
		want    string
	}{
		"nothing":   {},
		"forgotten": {missing: []driver.Table{{Schema: "public", Name: "venues"}}, want: "public.venues"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			r, l := newTotalsRig(t, core.Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
			l.missing = c.missing
			r.start(t, core.Bind("totals", l), core.Bind("items", r.table))
			r.stop(t)
			if got := log.String(); !bytes.Contains(log.Bytes(), []byte(c.want)) || c.want == "" && got != "" {
				t.Errorf("logged %q, want %q", got, c.want)
			}
		})
	}
}

// TestMinInterval follows a binding through time: a read begins no earlier than
// the interval allows, and then takes all that has been reported.
func TestMinInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := newTotalsRig(t, core.Config{})
		b := core.Bind("totals", l, core.Tune(core.Tuning{MinInterval: time.Minute}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r.ctx = ctx
		r.start(t, b)
		defer r.stop(t)
		for i := range 10 {
			r.report(t, l.sales.Put(sale{ID: 10 + i, Item: 2, Amount: 1})) // waits for nothing
		}
		synctest.Wait()
		if l.readCount() != 1 || b.Len() != 1 {
			t.Fatalf("%d reads within the interval, want only the first", l.readCount())
		}
		if err := r.reg.Flush(ctx); err != nil { // which does wait
			t.Fatal(err)
		}
		if l.readCount() != 2 || b.Len() != 2 {
			t.Fatalf("%d reads and %d rows after the interval, want 2 and 2", l.readCount(), b.Len())
		}
		// What somebody asks for does not wait, and takes the rest along.
		r.report(t, l.sales.Remove(key(1)))
		begun := time.Now()
		if err := b.Resync(ctx); err != nil || b.Len() != 1 || !time.Now().Equal(begun) {
			t.Errorf("Resync waited %v and left %d rows (%v)", time.Since(begun), b.Len(), err)
		}
		time.Sleep(time.Hour / 2)
		if l.readCount() != 3 {
			t.Errorf("%d reads while nothing happens, want 3", l.readCount())
		}
		// After a quiet time the first report is read at once.
		l.sales.Put(sale{ID: 1, Item: 1, Amount: 5})
		r.report(t, driver.Change{Table: salesTable})
		synctest.Wait()
		if b.Len() != 2 {
			t.Error("a report after a quiet time waited")
		}
	})
}

// TestTouchNeedsNoRead: a touch shows at once, also while a query's interval has not passed
// or the database is away, and does not make the query run.
func TestTouchNeedsNoRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := newTotalsRig(t, core.Config{})
		away := &mayFail{totals: l}
		b := core.Bind("totals", away, core.Tune(core.Tuning{MinInterval: time.Minute}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r.ctx = ctx
		r.start(t, b)
		defer r.stop(t)
		touch := func(when string) {
			t.Helper()
			before, reads, begun := b.Version(), l.readCount(), time.Now()
			if err := b.Touch(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			now := b.Version()
			if now.Token != before.Token || now.Seq != before.Seq+1 || l.readCount() != reads || !time.Now().Equal(begun) {
				t.Errorf("%s: %+v after a touch, %+v before; %d reads, %d before", when, now, before, l.readCount(), reads)
			}
		}
		touch("quiet")
		if err := r.reg.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		r.report(t, l.sales.Put(sale{ID: 10, Item: 2, Amount: 1})) // within the interval
		touch("with a report that waits")
		if err := r.reg.Flush(ctx); err != nil || b.Len() != 2 {
			t.Fatalf("%d rows, %v", b.Len(), err)
		}
		away.fails.Store(true)
		time.Sleep(time.Minute)
		r.report(t, l.sales.Put(sale{ID: 11, Item: 2, Amount: 1}))
		synctest.Wait()
		if st := r.reg.StatusOf(b.View); st.State != status.Stale {
			t.Fatalf("it is %v", st.State)
		}
		touch("with the database away")
		away.fails.Store(false)
	})
}

// mayFail is a loader whose database may be away.
type mayFail struct {
	*totals
	fails atomic.Bool
}

func (l *mayFail) Load(ctx context.Context, keys []driver.Key) ([]*total, error) {
	if l.fails.Load() {
		return nil, errors.New("away")
	}
	return l.totals.Load(ctx, keys)
}

// slow is a loader whose reads take time.
type slow struct {
	*totals
	takes time.Duration
}

func (l *slow) Load(ctx context.Context, keys []driver.Key) ([]*total, error) {
	time.Sleep(l.takes)
	return l.totals.Load(ctx, keys)
}

// TestReadsRestAsLongAsTheyTook writes without pause to a binding whose reads
// are long.
func TestReadsRestAsLongAsTheyTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := newTotalsRig(t, core.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r.ctx = ctx
		r.start(t, core.Bind("totals", &slow{l, time.Second}))
		defer r.stop(t)
		for range 200 {
			r.source.Sink().Report(driver.Change{Table: salesTable})
			time.Sleep(100 * time.Millisecond)
		}
		if err := r.reg.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if n := l.readCount(); n < 8 || n > 13 {
			t.Errorf("%d reads of a second in 20 seconds, want about 10", n)
		}
	})
}

// TestDependentBindingConverges changes both tables at random, reports in any
// order and more than once, and compares with what the query would give.
func TestDependentBindingConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, l := newTotalsRig(t, core.Config{})
		var opts []core.Option
		if rapid.Bool().Draw(t, "paced") {
			opts = append(opts, core.Tune(core.Tuning{MinInterval: time.Millisecond}))
		}
		b := core.Bind("totals", l, opts...)
		r.start(t, b, core.Bind("items", r.table))
		defer r.stop(t)
		sub := b.Subscribe(live.SubscribeOptions{})
		defer sub.Close()
		var c client
		var late []driver.Change
		for range rapid.IntRange(1, 30).Draw(t, "changes") {
			id := rapid.IntRange(1, 4).Draw(t, "id")
			var ch driver.Change
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				ch = r.table.Put(item{ID: id, Name: rapid.SampledFrom([]string{"pen", "ink", "cap"}).Draw(t, "name")})
			case 1:
				ch = r.table.Remove(key(id))
			case 2:
				ch = l.sales.Put(sale{ID: rapid.IntRange(1, 6).Draw(t, "sale"), Item: id, Amount: rapid.IntRange(-2, 2).Draw(t, "amount")})
			default:
				ch = l.sales.Remove(key(id))
			}
			if rapid.Bool().Draw(t, "late") {
				late = append(late, ch)
				continue
			}
			a := r.source.Sink().Announce(ch)
			a.Confirm()
		}
		r.source.Sink().Report(late...)
		if err := r.reg.Flush(r.ctx); err != nil {
			t.Fatalf("%v", err)
		}
		got := map[string]total{}
		for row := range b.All() {
			got[row.Name] = row
		}
		want := l.compute()
		if len(got) != len(want) {
			t.Fatalf("binding has %d rows, the query %d", len(got), len(want))
		}
		for _, w := range want {
			if got[w.Name] != *w {
				t.Fatalf("binding has %v, the query %v", got[w.Name], *w)
			}
		}
		for c.version != b.Version().Token {
			e, err := sub.Next(r.ctx)
			if err != nil {
				t.Fatalf("%v", err)
			}
			c.apply(t, e)
		}
		c.check(t, b.Snapshot())
	})
}

// TestWritesOfWhatIsReadInFull writes to a binding that is read in full: reading
// the row that was written alone would show half of what others have committed.
func TestWritesOfWhatIsReadInFull(t *testing.T) {
	r := newItems(t, core.Config{})
	b := core.Bind("items", r.table, core.Writable(), core.DependsOn(r.table.Name()), core.Tune(core.Tuning{WritesWait: true}))
	r.table.Put(item{ID: 1, Price: 50}, item{ID: 2, Price: 50})
	r.start(t, b)
	defer r.stop(t)
	r.table.Put(item{ID: 1, Price: 40}, item{ID: 2, Price: 60}) // and the source has not noticed yet
	if _, err := b.Write(r.ctx, live.Write{Op: live.Merge, Key: key(1), Body: []byte(`{"name":"x"}`)}); err != nil {
		t.Fatal(err)
	}
	sum := 0
	for it := range b.All() {
		sum += it.Price
	}
	if first, _ := b.Get(key(1)); first.Name != "x" || sum != 100 {
		t.Errorf("after the write the first row is %v, the sum %d", first, sum)
	}
}

// TestWritesDoNotWaitForWhatLags would take an hour.
func TestWritesDoNotWaitForWhatLags(t *testing.T) {
	r := newItems(t, core.Config{})
	b := core.Bind("items", r.table, core.Writable(), core.DependsOn(r.table.Name()), core.Tune(core.Tuning{MinInterval: time.Hour}))
	r.start(t, b)
	defer r.stop(t)
	row, err := b.Write(r.ctx, live.Write{Op: live.Insert, Body: []byte(`{"id":7,"name":"a","price":1,"live":true}`)})
	if err != nil || row.Key() != key(7) || r.ctx.Err() != nil {
		t.Errorf("wrote %v (%v, %v)", row, err, r.ctx.Err())
	}
}
