package lease_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/internal/lease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a pool and what it should hold.
type world struct {
	pool  *lease.Pool[int, *thing]
	ended map[*thing]bool
	made  int
}

type thing struct{ key int }

func newWorld(maximum int, idle time.Duration) *world {
	w := &world{ended: make(map[*thing]bool)}
	w.pool = lease.New[int](lease.Config[*thing]{Max: maximum, IdleAfter: idle, End: func(t *thing) {
		if w.ended[t] {
			panic("ended twice")
		}
		w.ended[t] = true
	}})
	return w
}

func (w *world) open(key int, group string) (*lease.Lease[int, *thing], error) {
	return w.pool.Open(key, group, func() (*thing, error) {
		w.made++
		return &thing{key}, nil
	})
}

// TestLives: members are shared, live while used and for a while afterwards.
func TestLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(2, time.Minute)
		a, _ := w.open(1, "")
		b, _ := w.open(1, "")
		if a.Value != b.Value || w.made != 1 {
			t.Fatal("not shared")
		}
		a.Release()
		a.Release()
		time.Sleep(time.Hour)
		if w.ended[b.Value] {
			t.Fatal("ended in use")
		}
		b.Release()
		time.Sleep(59 * time.Second)
		c, _ := w.open(1, "")
		if c.Value != b.Value {
			t.Fatal("ended too soon")
		}
		c.Release()
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if !w.ended[c.Value] || w.pool.Has(1) {
			t.Fatal("not retired")
		}
		one, _ := w.open(1, "")
		two, _ := w.open(2, "")
		if _, err := w.open(3, ""); !errors.Is(err, lease.ErrFull) {
			t.Fatal(err)
		}
		one.Release()
		if _, err := w.open(3, ""); err != nil || !w.ended[one.Value] {
			t.Fatal("the idle one makes no room", err)
		}
		if w.pool.Evict(2) {
			t.Fatal("evicted in use")
		}
		two.Release()
		if !w.pool.Evict(2) || w.pool.Evict(2) || !w.ended[two.Value] {
			t.Fatal("not evicted")
		}
		want := lease.Counts{Alive: 1, InUse: 1, Opened: 4, Retired: 1, Evicted: 2, Refused: 1}
		if c := w.pool.Counts(); c != want {
			t.Errorf("%+v, want %+v", c, want)
		}
		why := errors.New("over")
		if all := w.pool.Close(why); len(all) != 1 || w.pool.Close(why) != nil {
			t.Errorf("%v", all)
		}
		if _, err := w.open(1, ""); err != why {
			t.Error(err)
		}
	})
}

// TestMakeFails leaves nothing behind.
func TestMakeFails(t *testing.T) {
	w := newWorld(1, time.Minute)
	failed := errors.New("no")
	if _, err := w.pool.Open(1, "g", func() (*thing, error) { return nil, failed }); err != failed || w.pool.Has(1) {
		t.Fatal(err)
	}
}

// TestGroups: no group takes all; whoever comes next finds room.
func TestGroups(t *testing.T) {
	w := newWorld(200, time.Minute)
	key := 0
	for g, want := range []int{134, 44} {
		n := 0
		for {
			if _, err := w.open(key, fmt.Sprint("g", g)); err != nil {
				if !errors.Is(err, lease.ErrShare) {
					t.Fatal(err)
				}
				break
			}
			key++
			n++
		}
		if n < want-2 || n > want+2 {
			t.Errorf("group %d has %d, want about %d", g, n, want)
		}
	}
	if _, err := w.open(0, "late"); err != nil {
		t.Errorf("who joins what is there: %v", err)
	}
}

// TestModel holds the pool against a plain model.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(rapid.IntRange(1, 4).Draw(t, "max"), time.Hour)
		held := make(map[int][]*lease.Lease[int, *thing])
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				inUse := 0
				for key, ls := range held {
					if len(ls) == 0 {
						continue
					}
					inUse++
					if !w.pool.Has(key) || w.ended[ls[0].Value] {
						t.Fatalf("%d is in use and has ended", key)
					}
				}
				if c := w.pool.Counts(); c.InUse != inUse || c.Alive < inUse || int(c.Opened) != w.made || w.made-len(w.ended) != c.Alive {
					t.Fatalf("%+v with %d in use, %d made and %d ended", c, inUse, w.made, len(w.ended))
				}
			},
			"open": func(t *rapid.T) {
				key := rapid.IntRange(0, 6).Draw(t, "key")
				l, err := w.open(key, "")
				if err == nil {
					held[key] = append(held[key], l)
				}
			},
			"release": func(t *rapid.T) {
				key := rapid.IntRange(0, 6).Draw(t, "key")
				if ls := held[key]; len(ls) > 0 {
					ls[0].Release()
					held[key] = ls[1:]
				}
			},
			"evict": func(t *rapid.T) {
				key := rapid.IntRange(0, 6).Draw(t, "key")
				alive := w.pool.Has(key)
				if got := w.pool.Evict(key); got != (alive && len(held[key]) == 0) {
					t.Fatalf("evicted %v: alive %v, used by %d", got, alive, len(held[key]))
				}
			},
		})
		w.pool.Close(errors.New("over"))
	})
}
