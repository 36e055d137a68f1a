package budget_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/internal/budget"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	things = iota
	bodies
	kinds
)

// owner keeps things and bodies.
type owner struct {
	h              *budget.Holder
	things, bodies int
	inUse, gone    bool
}

func (o *owner) add(kind, n int) {
	if kind == bodies {
		o.bodies += n
	} else {
		o.things += n
	}
	o.h.Add(kind, n, false)
}

func (o *owner) DropBodies() { o.add(bodies, -o.bodies) }

func (o *owner) Evict() bool {
	if o.inUse || o.gone {
		return false
	}
	o.gone = true
	o.DropBodies()
	o.add(things, -o.things)
	o.h.Leave()
	return true
}

func join(b *budget.Budget, parties ...*budget.Party) *owner {
	o := &owner{}
	o.h = b.Join(o, parties...)
	return o
}

// TestOrder: bodies go before members, large and long idle ones first, and what is
// in use stays.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(1000, kinds, bodies, time.Now)
		var all []*owner
		for range 4 {
			o := join(b)
			o.add(things, 100)
			o.add(bodies, 100)
			all = append(all, o)
			time.Sleep(time.Second)
		}
		all[0].h.Looked()
		all[3].inUse = true
		if err := b.Fit(300); err != nil || b.Total()+300 > 1000 {
			t.Fatalf("%v, %d bytes", err, b.Total())
		}
		if all[1].bodies != 0 || all[2].bodies != 0 || all[0].bodies != 100 || all[1].gone {
			t.Errorf("bodies of what was looked at went first: %+v %+v %+v", *all[0], *all[1], *all[2])
		}
		time.Sleep(time.Second)
		if err := b.Fit(850); err != nil {
			t.Fatal(err)
		}
		if !all[0].gone || !all[1].gone || !all[2].gone || all[3].gone || all[3].bodies != 0 {
			t.Errorf("%+v %+v %+v %+v", *all[0], *all[1], *all[2], *all[3])
		}
		if err := b.Fit(950); !errors.Is(err, budget.ErrFull) {
			t.Errorf("more than there is: %v", err)
		}
		if c := b.Counts(); c.Dropped == 0 || c.Evicted != 3 || c.Refused != 1 {
			t.Errorf("%+v", c)
		}
		b.Close()
	})
}

// TestBackground: what passes the limit by growing is made room for.
func TestBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(1000, kinds, bodies, time.Now)
		idle, grows := join(b), join(b)
		grows.inUse = true
		idle.add(things, 900)
		grows.add(bodies, 50)
		time.Sleep(time.Second)
		grows.h.Looked()
		grows.add(things, 200)
		synctest.Wait()
		if b.Total() > 1000 || !idle.gone {
			t.Errorf("%d bytes, %+v", b.Total(), *idle)
		}
		b.Close()
		grows.add(things, 2000) // nobody makes room any more
		synctest.Wait()
	})
}

// TestSweep drops bodies that nobody has looked at, with a limit and without.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(-1, kinds, bodies, time.Now)
		old, young := join(b), join(b)
		old.add(bodies, 10)
		young.add(bodies, 10)
		time.Sleep(time.Minute)
		young.h.Looked()
		b.Sweep(30 * time.Second)
		if old.bodies != 0 || young.bodies != 10 || b.Limit() != 0 || b.Fit(1<<60) != nil || b.Over() {
			t.Errorf("%+v %+v", *old, *young)
		}
	})
}

// TestShares: whatever parties take, whoever comes next finds something.
func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 1 << 20
		b := budget.New(limit, kinds, bodies, time.Now)
		size := int64(rapid.IntRange(2000, 5000).Draw(t, "size"))
		var before []int64
		for range rapid.IntRange(1, 4).Draw(t, "parties") {
			p := &budget.Party{}
			for {
				err := b.Fit(size, p, nil)
				if err != nil {
					if !errors.Is(err, budget.ErrShare) {
						t.Fatal(err)
					}
					break
				}
				o := join(b, p, nil)
				o.inUse = true
				o.add(things, int(size))
			}
			if p.Used() == 0 {
				t.Fatalf("nothing is left after %v", before)
			}
			before = append(before, p.Used())
		}
		if first := before[0]; first < limit*6/10 || first > limit*7/10 {
			t.Fatalf("the first has taken %d of %d", first, limit)
		}
	})
}

// TestShareOfIdle: what a party holds and nobody uses makes room for itself.
func TestShareOfIdle(t *testing.T) {
	b := budget.New(900, kinds, bodies, time.Now)
	p := &budget.Party{}
	for range 50 {
		if err := b.Fit(100, p); err != nil {
			t.Fatal(err)
		}
		join(b, p).add(things, 100)
	}
	if p.Used() > 600 {
		t.Errorf("it holds %d", p.Used())
	}
}

// TestShareBesideOthers: bodies, and what others hold and nobody uses, deny nobody a
// share. Others' bodies stay as long as there is room.
func TestShareBesideOthers(t *testing.T) {
	b := budget.New(1000, kinds, bodies, time.Now)
	for range 6 {
		join(b).add(things, 100)
	}
	looked := join(b)
	looked.add(bodies, 100)
	looked.inUse = true
	p := &budget.Party{}
	for range 4 {
		if err := b.Fit(100, p); err != nil {
			t.Fatalf("of 1000 bytes 100 are bodies and 600 idle, and with %d in use: %v", p.Used(), err)
		}
		one := join(b, p)
		one.add(things, 100)
		one.inUse = true
	}
	if looked.bodies != 100 {
		t.Error("bodies have gone while there was room")
	}
}

// TestReserve: what a party reserves counts until it is released, once.
func TestReserve(t *testing.T) {
	b := budget.New(1000, kinds, bodies, time.Now)
	p := &budget.Party{}
	release, err := b.Reserve(things, 600, p)
	if err != nil || b.Used(things) != 600 || p.Used() != 600 {
		t.Fatalf("%v: %d bytes", err, b.Used(things))
	}
	if _, err := b.Reserve(things, 100, p); !errors.Is(err, budget.ErrShare) {
		t.Errorf("more than two thirds: %v", err)
	}
	kept := b.Keep(things, 5000, nil)
	if _, err := b.Reserve(things, 1, nil); !errors.Is(err, budget.ErrFull) {
		t.Errorf("beyond the limit: %v", err)
	}
	for range 2 {
		kept()
		release()
	}
	if b.Total() != 0 || p.Used() != 0 {
		t.Errorf("%d and %d bytes are left", b.Total(), p.Used())
	}
	b.Close()
}

// TestMachine reads the limits of both versions of cgroups.
func TestMachine(t *testing.T) {
	if n := budget.Machine(); n <= 0 {
		t.Skip("nothing is known of this machine")
	}
	for name, c := range map[string]struct {
		self  string
		files map[string]string
		want  int64
	}{
		"v2":        {"0::/a/b\n", map[string]string{"a/memory.max": "1000\n", "a/b/memory.max": "max\n"}, 1000},
		"v2 root":   {"0::/../../x\n", map[string]string{"memory.max": "77\n"}, 77},
		"v1":        {"9:cpu:/\n5:memory:/docker/c\n", map[string]string{"memory/docker/c/memory.limit_in_bytes": "2000\n", "memory/memory.limit_in_bytes": "9223372036854771712\n"}, 2000},
		"container": {"5:memory:/docker/elsewhere\n", map[string]string{"memory/memory.limit_in_bytes": "3000\n"}, 3000},
		"none":      {"0::/a\n", nil, 0},
	} {
		root := t.TempDir()
		self := filepath.Join(root, "self")
		if err := os.WriteFile(self, []byte(c.self), 0o600); err != nil {
			t.Fatal(err)
		}
		for f, text := range c.files {
			path := filepath.Join(root, f)
			_ = os.MkdirAll(filepath.Dir(path), 0o700)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := budget.OfGroups(self, root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestConcurrent is for the race detector.
func TestConcurrent(t *testing.T) {
	b := budget.New(10_000, kinds, bodies, time.Now)
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			b.Sweep(0)
			_ = b.Fit(100)
		}
	}()
	for range 100 {
		h := b.Join(quiet{})
		h.Add(things, 200, false)
		h.Add(things, 10, true)
		h.Looked()
		h.Add(things, -210, false)
		h.Leave()
	}
	stop.Store(true)
	<-done
	b.Close()
	if b.Total() != 0 {
		t.Errorf("%d bytes are left", b.Total())
	}
}

type quiet struct{}

func (quiet) DropBodies() {}
func (quiet) Evict() bool { return false }
