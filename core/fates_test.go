package core_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
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

// fragile shows items, but none whose name is "poison".
func fragile() core.Option {
	return core.Serialize(func(it item) item {
		if it.Name == "poison" {
			panic("cannot show it")
		}
		return it
	})
}

// TestRowThatOneBindingCannotShow: the binding is stale and says why; its
// neighbours go on, and so does it once the row is mended.
func TestRowThatOneBindingCannotShow(t *testing.T) {
	r := newItems(t, core.Config{})
	plain, shown := core.Bind("plain", r.table), core.Bind("shown", r.table, fragile())
	cheap := core.Bind("cheap", r.table, fragile(), core.Where(filter.Lt("price", 10)))
	r.table.Put(item{ID: 1})
	r.start(t, plain, shown, cheap)
	defer r.stop(t)
	before := shown.Version()
	r.report(t, r.table.Put(item{ID: 2, Name: "poison", Price: 50}))
	r.report(t, r.table.Put(item{ID: 3}))
	if err := r.reg.Flush(r.ctx); err != nil {
		t.Fatal(err)
	}
	if plain.Len() != 3 || cheap.Len() != 2 || shown.Version() != before {
		t.Errorf("plain has %d rows of 3, cheap %d of 2, shown is at %v, want %v", plain.Len(), cheap.Len(), shown.Version(), before)
	}
	for _, b := range []*core.Binding[item]{plain, cheap} {
		if st := b.Status(); st.State != status.Live || st.Err != nil || st.Troubled != 0 {
			t.Errorf("%s: %+v", b.Name(), st)
		}
	}
	st := shown.Status()
	if st.State != status.Stale || st.Troubled != 1 || !slices.Equal(troubledKeys(st.Trouble), []driver.Key{key(2)}) {
		t.Errorf("shown: %+v", st)
	}
	wantErr(t, st.Err, `"shown"`, "row 2", "cannot show it")
	if fs := r.reg.Status().Tables[0]; fs.Troubled != 1 || fs.SetAside != 1 {
		t.Errorf("feed: %+v", fs)
	}
	// The one who mends the row finds the binding mended, with all it missed.
	r.report(t, r.table.Put(item{ID: 2, Name: "well"}))
	if st := shown.Status(); shown.Len() != 3 || st.State != status.Live || st.Troubled != 0 {
		t.Errorf("after mending: %d rows, %+v", shown.Len(), st)
	}
	r.report(t, r.table.Put(item{ID: 4}))
	if shown.Len() != 4 || r.reg.Status().Tables[0].Troubled != 0 {
		t.Errorf("afterwards: %d rows", shown.Len())
	}
}

// TestBindingLoadsBesideOneThatCannot: a row that is bad from the start holds up
// the bindings that show it, and nobody else.
func TestBindingLoadsBesideOneThatCannot(t *testing.T) {
	r := newItems(t, core.Config{})
	plain, shown := core.Bind("plain", r.table), core.Bind("shown", r.table, fragile())
	r.table.Put(item{ID: 1}, item{ID: 2, Name: "poison"})
	r.start(t, shown, plain)
	defer r.stop(t)
	if plain.Len() != 2 {
		t.Fatalf("plain has %d rows: %v", plain.Len(), plain.Status().Err)
	}
	if st := shown.Status(); st.State != status.Loading || st.Troubled != 1 {
		t.Errorf("shown: %+v", st)
	}
	if ready := r.reg.Ready(); !slices.Equal(ready.Loading, []string{"shown"}) {
		t.Errorf("ready: %+v", ready)
	}
	r.table.Put(item{ID: 2}) // nobody reports it
	select {
	case <-shown.Loaded():
	case <-r.ctx.Done():
		t.Fatal("it does not load when it can")
	}
	if shown.Len() != 2 {
		t.Errorf("%d rows", shown.Len())
	}
}

type measure struct {
	ID    int     `json:"id"`
	Value float64 `json:"value"`
}

// TestNumberThatJSONDoesNotHave: NaN and infinities are numbers to a database
// and not to JSON.
func TestNumberThatJSONDoesNotHave(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		r := newItems(t, core.Config{})
		tab := coretest.NewTable[measure]("measures", "id")
		all := core.Bind("all", tab)
		finite := core.Bind("some", tab, core.Where(filter.Ge("id", 3)))
		tab.Put(measure{ID: 1})
		r.start(t, all, finite)
		r.report(t, tab.Put(measure{ID: 2, Value: bad}))
		r.report(t, tab.Put(measure{ID: 3, Value: 1}))
		if finite.Len() != 1 || all.Len() != 1 {
			t.Errorf("%v: %d rows of 1, all has %d", bad, finite.Len(), all.Len())
		}
		wantErr(t, all.Status().Err, "row 2", "unsupported value")
		r.report(t, tab.Remove(key(2)))
		if all.Len() != 2 {
			t.Errorf("%v: %d rows after the row went: %v", bad, all.Len(), all.Status().Err)
		}
		r.stop(t)
	}
}

// TestWritesDoNotWaitForTrouble: nobody waits for a binding that cannot show a
// row, not even those who write that row.
func TestWritesDoNotWaitForTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newItems(t, core.Config{})
		shown, other := core.Bind("shown", r.table, fragile()), core.Bind("other", r.table, core.Writable())
		r.table.Put(item{ID: 1})
		r.start(t, shown, other)
		defer r.stop(t)
		begun := time.Now()
		r.report(t, r.table.Put(item{ID: 2, Name: "poison"}))
		_, err := other.Write(r.ctx, live.Write{Op: live.Insert, Body: []byte(`{"id":7,"name":"x","price":1,"live":true}`)})
		if d := time.Since(begun); err != nil || d > 0 || other.Len() != 3 {
			t.Errorf("writing took %v (%v); the other binding shows %d rows of 3", d, err, other.Len())
		}
		ctx, cancel := context.WithTimeout(r.ctx, time.Second)
		defer cancel()
		if err := shown.Resync(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "row 2") {
			t.Errorf("a Resync that cannot be: %v", err)
		}
	})
}

// refusing is a store whose database refuses every condition in its own terms,
// and orders by collations.
type refusing struct{ *store }

func (p *refusing) Query(ctx context.Context, q driver.Query) ([]*ware, error) {
	if q.Where != nil {
		return nil, errors.New("no such column")
	}
	return p.store.Query(ctx, q)
}

func refused(name string, s *refusing) []core.Bindable {
	return []core.Bindable{
		core.Bind(name+"-where", s, core.ForLoader(driver.Terms{Where: condition("x")})),
		core.Bind(name+"-limit", s, core.ForLoader(driver.Terms{Where: condition("x")}), core.Limit(3)),
		core.Bind(name+"-order", s, core.Ordered(driver.Order{Column: "name", Collation: "none"})),
	}
}

// TestConditionThatTheDatabaseRefuses concerns the binding that declares it, at
// Start and when it is added later.
func TestConditionThatTheDatabaseRefuses(t *testing.T) {
	r := newItems(t, core.Config{})
	s := &refusing{newStore()}
	s.Put(ware{ID: 1, Shelf: 1})
	good := core.Bind("good", s)
	r.start(t, append(refused("early", s), good)...)
	defer r.stop(t)
	if good.Len() != 1 {
		t.Fatalf("good: %+v", good.Status())
	}
	if err := r.reg.Add(refused("late", s)...); err != nil {
		t.Fatal(err)
	}
	for id := 2; id < 6; id++ {
		r.report(t, s.Put(ware{ID: id, Shelf: 1}))
		if good.Len() != id {
			t.Errorf("good has %d rows of %d: %+v", good.Len(), id, good.Status())
		}
	}
	if st := good.Status(); st.State != status.Live {
		t.Errorf("good: %+v", st)
	}
	for _, v := range r.reg.Views() {
		if v.Name() == "good" {
			continue
		}
		wait(t, v.Name()+" to say why", func() bool { return r.reg.StatusOf(v).Err != nil })
		wantErr(t, r.reg.StatusOf(v).Err, v.Name(), "no such co")
	}
}

// damaged is a store some of whose rows cannot be read. tells says that it
// returns those that can, and names the others; otherwise it just fails, as
// package database/sql does.
type damaged struct {
	*store

	mu    sync.Mutex
	bad   map[int]bool
	tells bool
}

var errDamaged = errors.New("sql: Scan error on column index 1")

func (d *damaged) set(bad ...int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bad = make(map[int]bool)
	for _, id := range bad {
		d.bad[id] = true
	}
}

func (d *damaged) scan(rows []*ware, err error) ([]*ware, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	well := make([]*ware, 0, len(rows))
	for _, w := range rows {
		if d.bad[w.ID] {
			errs = append(errs, &driver.RowError{Key: key(w.ID), Err: errDamaged})
			continue
		}
		well = append(well, w)
	}
	switch {
	case err != nil || len(errs) == 0:
		return rows, err
	case d.tells:
		return well, fmt.Errorf("reading wares: %w", errors.Join(errs...))
	}
	return nil, errDamaged
}

func (d *damaged) Load(ctx context.Context, keys []driver.Key) ([]*ware, error) {
	return d.scan(d.store.Load(ctx, keys))
}

// Scan leaves reading in pieces to those whose rows are all well.
func (d *damaged) Scan(context.Context, driver.Query, int, func([]*ware) error) error {
	return errors.ErrUnsupported
}

func (d *damaged) Query(ctx context.Context, q driver.Query) ([]*ware, error) {
	return d.scan(d.store.Query(ctx, q))
}

// TestRowThatCannotBeRead concerns the bindings that show it or would: the
// database is asked, since Go does not see it. Members of a family that show
// other rows go on.
func TestRowThatCannotBeRead(t *testing.T) {
	for _, tells := range []bool{true, false} {
		t.Run(fmt.Sprintf("loader tells which: %v", tells), func(t *testing.T) {
			r := newItems(t, core.Config{})
			s := &damaged{store: newStore(), tells: tells}
			for id := range 40 {
				s.Put(ware{ID: id, Shelf: id % 20})
			}
			all := core.Bind("all", s)
			first := core.Bind("first", s, core.Limit(3), core.Tune(core.Tuning{Margin: 1}))
			odd := core.Bind("odd", s, core.ForLoader(driver.Terms{Where: condition("odd")}))
			few := core.Bind("few", s, core.Where(filter.Lt("shelf", 3)))
			fam := core.BindFamily("shelf", s, core.Where(filter.Eq("shelf", filter.Param("shelf"))))
			r.start(t, all, first, odd, few, fam)
			defer r.stop(t)
			var members []*core.Member[ware]
			for i := range 20 {
				m, err := fam.Open(r.ctx, core.Args{"shelf": i})
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				members = append(members, m)
			}
			// Ware 7 of shelf 7 is damaged and comes to stand on shelf 5.
			change := s.Put(ware{ID: 7, Shelf: 5})
			s.set(7)
			r.report(t, change)
			r.report(t, s.Put(ware{ID: 100, Shelf: 5}), s.Put(ware{ID: 101, Shelf: 8}), s.Put(ware{ID: 102, Shelf: 2}))
			for i, m := range members {
				st := m.Status()
				if concerned := i == 5 || i == 7; concerned != (st.State == status.Stale) {
					t.Errorf("shelf %d: %v, %v", i, st.State, st.Err)
				}
			}
			if members[8].Len() != 3 || members[5].Len() != 2 || few.Len() != 7 || few.Status().State != status.Live {
				t.Errorf("shelf 8 has %d rows, shelf 5 %d, few %d", members[8].Len(), members[5].Len(), few.Len())
			}
			if st := first.Status(); st.State != status.Live {
				t.Errorf("the row lies beyond the first: %+v", st)
			}
			for _, b := range []*core.Binding[ware]{all, odd} {
				st := b.Status()
				if st.State != status.Stale || !slices.Equal(troubledKeys(st.Trouble), []driver.Key{key(7)}) {
					t.Errorf("%s: %+v", b.Name(), st)
				}
			}
			wantErr(t, all.Status().Err, "row 7", errDamaged.Error())
			s.set()
			r.report(t, change)
			for _, b := range []*core.Binding[ware]{all, odd, few, members[5].Binding, members[7].Binding} {
				wait(t, b.ID()+" to recover", func() bool { return b.Status().State == status.Live })
			}
			if all.Len() != 43 || members[5].Len() != 4 || members[7].Len() != 1 {
				t.Errorf("all has %d rows, shelf 5 %d, shelf 7 %d", all.Len(), members[5].Len(), members[7].Len())
			}
			if err := core.CheckHeld(r.ctx, r.reg); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestUnreadableRowAtStart: what does not show the row loads.
func TestUnreadableRowAtStart(t *testing.T) {
	for _, tells := range []bool{true, false} {
		r := newItems(t, core.Config{})
		s := &damaged{store: newStore(), tells: tells}
		s.Put(ware{ID: 1, Shelf: 1}, ware{ID: 2, Shelf: 2}, ware{ID: 3, Shelf: 3})
		s.set(2)
		all := core.Bind("all", s)
		one := core.Bind("one", s, core.Where(filter.Eq("shelf", 1)))
		two := core.Bind("two", s, core.Where(filter.Eq("shelf", 2)))
		r.start(t, all, one, two)
		<-one.Loaded()
		wait(t, "two to say why", func() bool { return two.Status().Err != nil })
		if all.Len() != 0 || two.Len() != 0 || two.Status().State != status.Loading {
			t.Errorf("all %d, two %d, %+v", all.Len(), two.Len(), two.Status())
		}
		s.set()
		<-all.Loaded()
		<-two.Loaded()
		r.stop(t)
	}
}

// brittle is what a binding does with wares that it cannot show.
func brittle() core.Option {
	return core.Serialize(func(w ware) ware {
		if w.Note == "poison" {
			panic("cannot show it")
		}
		return w
	})
}

// TestStatusNamesAllBadRows: whatever is wrong with them, whenever they went bad, and
// however the binding is read again.
func TestStatusNamesAllBadRows(t *testing.T) {
	for _, tells := range []bool{true, false} {
		for _, anew := range []bool{true, false} {
			t.Run(fmt.Sprintf("loader tells which: %v, read in full: %v", tells, anew), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newItems(t, core.Config{})
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					r.ctx = ctx
					s := &damaged{store: newStore(), tells: tells}
					for id := range 20 {
						s.Put(ware{ID: id})
					}
					s.set()
					shown := core.Bind("shown", s, brittle())
					r.start(t, shown)
					defer r.stop(t)
					s.set(5)
					r.report(t, s.Put(ware{ID: 5, Note: "unreadable"}))
					if anew {
						go func() { _ = shown.Resync(ctx) }()
						synctest.Wait()
					}
					s.set(5, 9)
					r.report(t, s.Put(ware{ID: 7, Note: "poison"}), s.Put(ware{ID: 9, Note: "unreadable"}), s.Put(ware{ID: 8, Note: "poison"}))
					time.Sleep(time.Minute) // it is tried again
					want := []driver.Key{key(5), key(7), key(8), key(9)}
					if st := shown.Status(); st.Troubled != len(want) || !slices.Equal(troubledKeys(st.Trouble), want) {
						t.Errorf("%d rows, %v; want %v", st.Troubled, troubledKeys(st.Trouble), want)
					}
					s.set(9)
					r.report(t, s.Put(ware{ID: 5}), s.Put(ware{ID: 7}))
					synctest.Wait()
					want = []driver.Key{key(8), key(9)}
					if st := shown.Status(); st.Troubled != len(want) || !slices.Equal(troubledKeys(st.Trouble), want) {
						t.Errorf("as soon as some are mended: %v; want %v", troubledKeys(st.Trouble), want)
					}
					s.set()
					r.report(t, s.Put(ware{ID: 8}), s.Put(ware{ID: 9}))
					synctest.Wait()
					if st := shown.Status(); st.State != status.Live || st.Troubled != 0 {
						t.Errorf("as soon as all are mended: %v, %d rows", st.State, st.Troubled)
					}
				})
			})
		}
	}
}

// TestMendedRowsAreTriedAtOnce: a binding that must be read in full is tried again when one
// of its bad rows is reported, or when another has found one mended, and not only when its
// back-off has passed.
func TestMendedRowsAreTriedAtOnce(t *testing.T) {
	for how, pause := range map[string]time.Duration{"key": 0, "whole table": 100 * time.Millisecond, "nobody": time.Minute} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newItems(t, core.Config{})
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				r.ctx = ctx
				s := &damaged{store: newStore(), tells: true}
				s.Put(ware{ID: 1}, ware{ID: 2, Shelf: 2}, ware{ID: 3})
				s.set(2)
				all, some := core.Bind("all", s), core.Bind("some", s, core.Where(filter.Eq("shelf", 2)))
				r.start(t, all, some)
				defer r.stop(t)
				time.Sleep(10 * time.Minute) // its back-off is 30 seconds now
				s.set()
				begun := time.Now()
				switch how {
				case "key":
					r.report(t, s.Put(ware{ID: 2, Shelf: 2}))
				case "whole table":
					r.report(t, driver.Change{Table: s.Name()})
				}
				<-all.Loaded()
				took := time.Since(begun)
				<-some.Loaded()
				if took > pause || time.Since(begun) != took {
					t.Errorf("they loaded after %v and %v", took, time.Since(begun))
				}
			})
		})
	}
}

// TestOmitUnreadable: a binding may go on without the rows that it cannot show.
func TestOmitUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		r := newItems(t, core.Config{Logger: textLogger(&log)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r.ctx = ctx
		s := &damaged{store: newStore(), tells: true}
		for id := range 10 {
			s.Put(ware{ID: id, Shelf: id % 2})
		}
		s.set(2)
		all := core.Bind("all", s, core.Tune(core.Tuning{OmitUnreadable: true}))
		strict := core.Bind("strict", s)
		first := core.Bind("first", s, core.Tune(core.Tuning{OmitUnreadable: true}), core.Limit(4), core.Tune(core.Tuning{Margin: 1}))
		r.start(t, all, strict, first)
		defer r.stop(t)
		check := func(b *core.Binding[ware], rows, omitted int) {
			t.Helper()
			st := b.Status()
			if b.Len() != rows || st.Troubled != omitted || len(st.Trouble) != omitted || st.State != status.Live {
				t.Errorf("%s: %d rows, want %d, without %d: %+v", b.Name(), b.Len(), rows, omitted, st)
			}
		}
		check(all, 9, 1)
		check(first, 4, 1)
		r.report(t, s.Put(ware{ID: 20}))
		check(all, 10, 1)
		s.set(2, 5)
		r.report(t, s.Put(ware{ID: 5, Note: "damaged now"}))
		check(all, 9, 2)
		r.report(t, s.Remove(key(2)))
		check(all, 9, 1)
		if strict.Len() != 0 {
			t.Errorf("the strict one has %d rows", strict.Len())
		}
		s.set() // and nobody reports it
		time.Sleep(time.Minute)
		check(all, 10, 0)
		if strict.Len() != 10 {
			t.Errorf("the strict one has %d rows: %v", strict.Len(), strict.Status().Err)
		}
		if n := strings.Count(log.String(), "leaves out rows"); n != 2 {
			t.Errorf("logged %d times for two bindings:\n%s", n, log.String())
		}
	})
}

// TestTroubleAgainstModel damages and mends rows at random, below bindings of
// all sorts. Whoever shows no damaged row equals its query after each report, the
// others are stale and keep their last version; when all is mended all are equal
// to their queries.
func TestTroubleAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const ids, shelfCount = 8, 12
		r := newItems(t, core.Config{})
		s := &damaged{store: newStore(), tells: rapid.Bool().Draw(t, "loader tells which")}
		s.set()
		type decl struct {
			b    *core.Binding[ware]
			keep func(ware) bool
			omit bool
		}
		decls := []decl{
			{core.Bind("all", s), func(ware) bool { return true }, false},
			{core.Bind("low", s, core.Where(filter.Lt("shelf", 3))), func(w ware) bool { return w.Shelf < 3 }, false},
			{core.Bind("high", s, core.Where(filter.Ge("shelf", 3))), func(w ware) bool { return w.Shelf >= 3 }, false},
			{core.Bind("asked", s, core.Where(filter.Lt("shelf", 6)), core.ForLoader(driver.Terms{Where: condition("true")})), func(w ware) bool { return w.Shelf < 6 }, false},
		}
		if s.tells {
			decls = append(decls, decl{core.Bind("rest", s, core.Tune(core.Tuning{OmitUnreadable: true})), func(ware) bool { return true }, true})
		}
		var bindings []core.Bindable
		for _, d := range decls {
			bindings = append(bindings, d.b)
		}
		fam := core.BindFamily("shelf", s, core.Where(filter.Eq("shelf", filter.Param("shelf"))))
		s.Put(ware{ID: 100, Shelf: 0}, ware{ID: 101, Shelf: 5}) // never damaged: the database answers
		r.start(t, append(bindings, fam)...)
		defer r.stop(t)
		for i := range shelfCount {
			m, err := fam.Open(r.ctx, core.Args{"shelf": i})
			if err != nil {
				t.Fatalf("%v", err)
			}
			defer m.Close()
			decls = append(decls, decl{m.Binding, func(w ware) bool { return w.Shelf == i }, false})
		}
		shelf := rapid.IntRange(0, shelfCount-1)
		bad := map[int]bool{}
		check := func() {
			t.Helper()
			for _, d := range decls {
				want, damagedRow := 0, false
				for _, w := range s.Rows() {
					if d.keep(w) {
						want++
						if bad[w.ID] {
							damagedRow = true
							if d.omit {
								want--
							}
						}
					}
				}
				if st := d.b.Status(); st.State == status.Live && (!damagedRow || d.omit) && d.b.Len() != want {
					t.Fatalf("%s has %d rows, want %d", d.b.ID(), d.b.Len(), want)
				} else if damagedRow && !d.omit && st.State == status.Live {
					t.Fatalf("%s shows a damaged row: %+v", d.b.ID(), st)
				}
			}
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			id := rapid.IntRange(0, ids-1).Draw(t, "id")
			var change driver.Change
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0: // damage it, wherever it stands
				bad[id] = true
				change = s.Put(ware{ID: id, Shelf: shelf.Draw(t, "shelf"), Note: "bad"})
			case 1:
				delete(bad, id)
				change = s.Remove(key(id))
			case 2:
				change = driver.Change{Table: s.Name()}
			default:
				delete(bad, id)
				change = s.Put(ware{ID: id, Shelf: shelf.Draw(t, "shelf")})
			}
			s.set(keysOfMap(bad)...)
			r.report(t, change)
			if err := r.reg.Flush(r.ctx); err != nil {
				t.Fatalf("%v", err)
			}
			check()
		}
		clear(bad)
		s.set()
		r.report(t, driver.Change{Table: s.Name()})
		for _, d := range decls {
			if err := d.b.Resync(r.ctx); err != nil {
				t.Fatalf("%s: %v", d.b.ID(), err)
			}
			if st := d.b.Status(); st.State != status.Live || st.Troubled != 0 {
				t.Fatalf("%s after all was mended: %+v", d.b.ID(), st)
			}
		}
		check()
		if err := core.CheckHeld(r.ctx, r.reg); err != nil {
			t.Fatalf("%v", err)
		}
	})
}

func keysOfMap(m map[int]bool) []int {
	var out []int
	for k := range m {
		out = append(out, k)
	}
	return out
}

func troubledKeys(troubles []status.Trouble) (keys []driver.Key) {
	for _, t := range troubles {
		keys = append(keys, t.Key)
	}
	return keys
}

// TestComparisonPastUnreadableRow: a comparison of the table finds what nobody has
// reported, past a row that cannot be read. That row concerns who shows it.
func TestComparisonPastUnreadableRow(t *testing.T) {
	r := newItems(t, core.Config{})
	s := &damaged{store: newStore(), tells: true}
	for id := range 10 {
		s.Put(ware{ID: id, Shelf: id})
	}
	all := core.Bind("all", s)
	few := core.Bind("few", s, core.Where(filter.Lt("shelf", 3)))
	r.start(t, all, few)
	defer r.stop(t)
	s.Put(ware{ID: 7, Shelf: 7, Note: "changed"}, ware{ID: 200, Shelf: 1}) // and nobody reports it
	s.set(7)
	r.report(t, driver.Change{Table: s.Name(), Compare: true})
	wait(t, "the binding that shows the row to say so", func() bool { return all.Status().Err != nil })
	wantErr(t, all.Status().Err, "row 7", errDamaged.Error())
	if st := few.Status(); few.Len() != 4 || st.Err != nil {
		t.Errorf("few has %d rows of 4: %v, %v", few.Len(), st.State, st.Err)
	}
	if err := r.reg.Flush(r.ctx); err != nil {
		t.Fatal(err)
	}
}
