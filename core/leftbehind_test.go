package core_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
)

// TestWholeReportsHoldUpNobody blocks the full reads that follow when the whole of a large
// table is reported. Writes that name their rows show meanwhile, in all bindings; who has
// reported the whole table waits until everything has been read.
func TestWholeReportsHoldUpNobody(t *testing.T) {
	for name, overflow := range map[string]bool{"whole": false, "too many keys": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGated()
				for id := range 5 {
					g.Put(ware{ID: id + 1})
				}
				r := newItems(t, core.Config{MaxBatchKeys: 3})
				all, some := core.Bind("all", g), core.Bind("some", g, core.Where(filter.Ge("id", 3)))
				asked := core.Bind("asked", g, opaque())
				r.start(t, all, some, asked)
				defer r.stop(t)
				release := g.close(func(driver.Query) bool { return true })
				defer release()

				bulk := g.Put(ware{ID: 1, Note: "bulk"}, ware{ID: 2, Note: "bulk"}, ware{ID: 3, Note: "bulk"}, ware{ID: 4, Note: "bulk"})
				if !overflow {
					bulk.Keys = nil
				}
				receipt := r.source.Sink().Report(bulk)
				shown := make(chan error, 1)
				go func() { shown <- receipt.Wait(r.ctx) }()
				synctest.Wait()
				for id := 6; id < 9; id++ {
					r.report(t, g.Put(ware{ID: id}))
					if all.Len() != id || asked.Len() != id || some.Len() != id-2 {
						t.Fatalf("after row %d was written: %d, %d and %d rows", id, all.Len(), asked.Len(), some.Len())
					}
				}
				r.report(t, g.Put(ware{ID: 5, Note: "mine"}))
				for _, b := range []*core.Binding[ware]{all, some, asked} {
					if w, _ := b.Get(5); w.Note != "mine" {
						t.Errorf("%s shows %+v after the write has returned", b.Name(), w)
					}
				}
				select {
				case err := <-shown:
					t.Fatalf("who has reported everything does not wait: %v", err)
				default:
				}
				release()
				if err := <-shown; err != nil {
					t.Fatal(err)
				}
				for _, b := range []*core.Binding[ware]{all, some, asked} {
					if w, _ := b.Get(4); w.Note != "bulk" {
						t.Errorf("%s shows %+v in the end", b.Name(), w)
					}
				}
				if err := core.CheckHeld(r.ctx, r.reg); err != nil {
					t.Error(err)
				}
				if st := r.stats(); st.WholeReads != 0 {
					t.Errorf("batches have read the whole table: %+v", st)
				}
			})
		})
	}
}

// TestRefillsHoldUpNobody blocks the read of a window that has no rows left in place of
// those that were deleted. It stays at its last version, and other bindings show what is
// written meanwhile. Whoever wrote to the window's rows waits for it, nobody else.
func TestRefillsHoldUpNobody(t *testing.T) {
	for name, opts := range map[string][]core.Option{
		"window":         {core.OrderBy("id")},
		"asked, ordered": {core.OrderBy("id"), opaque()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGated()
				for id := range 9 {
					g.Put(ware{ID: id + 1, Shelf: 1})
				}
				r := newItems(t, core.Config{})
				window := core.Bind("window", g, append(opts, core.Where(filter.Eq("shelf", 1)), core.Limit(2), margin(1))...)
				others := core.Bind("others", g, core.Where(filter.Eq("shelf", 2)))
				r.start(t, window, others)
				defer r.stop(t)
				release := g.close(func(q driver.Query) bool { return q.Limit > 0 })
				defer release()

				deleted := r.source.Sink().Report(g.Remove(key(1), key(2)))
				shown := make(chan error, 1)
				go func() { shown <- deleted.Wait(r.ctx) }()
				synctest.Wait()
				if got := wareIDs(window); !slices.Equal(got, []int{1, 2}) {
					t.Errorf("before it has been read the window shows %v", got)
				}
				for id := 10; id < 13; id++ {
					r.report(t, g.Put(ware{ID: id, Shelf: 2}))
					if others.Len() != id-9 {
						t.Fatalf("after row %d was written the others are %v", id, wareIDs(others))
					}
				}
				// The window lacks this one as well, and must not make a version of it alone.
				changed := r.source.Sink().Report(g.Put(ware{ID: 3, Shelf: 1, Note: "changed"}))
				synctest.Wait()
				if got := wareIDs(window); name == "window" && !slices.Equal(got, []int{1, 2}) {
					t.Errorf("the window shows %v", got)
				}
				select {
				case err := <-shown:
					if name == "window" {
						t.Fatalf("who has deleted rows of the window does not wait for it: %v", err)
					}
					shown <- err
				default:
				}
				release()
				if err := <-shown; err != nil {
					t.Fatal(err)
				}
				if err := changed.Wait(r.ctx); err != nil {
					t.Fatal(err)
				}
				if err := r.reg.Flush(r.ctx); err != nil {
					t.Fatal(err)
				}
				if got := wareIDs(window); !slices.Equal(got, []int{3, 4}) {
					t.Errorf("in the end the window shows %v", got)
				}
				if w, _ := window.Get(3); w.Note != "changed" {
					t.Errorf("in the end: %+v", w)
				}
				if err := core.CheckHeld(r.ctx, r.reg); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestOneSlowReadTearsNothing: that a small table took long to read once, as on a busy
// machine, does not have batches go on with keys while the whole of it is to be read.
func TestOneSlowReadTearsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGated()
		g.Put(ware{ID: 1}, ware{ID: 2})
		r := newItems(t, core.Config{})
		all := core.Bind("all", g)
		r.start(t, all)
		defer r.stop(t)
		whole := func(note string) driver.Receipt {
			c := g.Put(ware{ID: 1, Note: note}, ware{ID: 2, Note: note})
			c.Keys = nil
			return r.source.Sink().Report(c)
		}
		time.AfterFunc(400*time.Millisecond, g.close(func(driver.Query) bool { return true }))
		if err := whole("slow").Wait(r.ctx); err != nil {
			t.Fatal(err)
		}
		release := g.close(func(driver.Query) bool { return true })
		defer release()
		receipts := []driver.Receipt{whole("bulk")}
		synctest.Wait()
		receipts = append(receipts, r.source.Sink().Report(g.Put(ware{ID: 1, Note: "one"})))
		synctest.Wait()
		one, _ := all.Get(1)
		other, _ := all.Get(2)
		if one.Note != "slow" || other.Note != "slow" {
			t.Errorf("a part of the statement shows: %+v, %+v", one, other)
		}
		release()
		for _, receipt := range receipts {
			if err := receipt.Wait(r.ctx); err != nil {
				t.Fatal(err)
			}
		}
		one, _ = all.Get(1)
		if other, _ = all.Get(2); one.Note != "one" || other.Note != "bulk" {
			t.Errorf("in the end: %+v, %+v", one, other)
		}
	})
}
