package live

import (
	"sync"
	"sync/atomic"
)

// Cache keeps what transports derive from an immutable value, such as a frame
// or a compressed body, so that all clients share it. It belongs to a
// [Snapshot] or an [Event] and lives as long as that does. See [Memo].
type Cache struct {
	mu     sync.Mutex
	kept   map[any]*derived // guarded by mu
	charge *Charge          // of what is kept; guarded by mu
}

// derived is one thing that is kept. Whoever builds it holds building.
type derived struct {
	building sync.Mutex
	built    atomic.Bool // val is set
	val      any
}

// Charge counts the bytes of what a [Cache] keeps.
type Charge struct {
	mu    sync.Mutex
	bytes int // guarded by mu
}

// Add adds bytes (or, below zero, takes them off). Values that grow after they
// were built keep the charge and call it then. Any goroutine may call it.
func (c *Charge) Add(bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += bytes
}

func (c *Charge) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// Bytes returns the size of what is kept, as its builders have told it.
func (c *Cache) Bytes() int {
	c.mu.Lock()
	charge := c.charge
	c.mu.Unlock()
	if charge == nil {
		return 0
	}
	return charge.total()
}

// Memo returns what build made for the key, which is made once, also when many
// ask at the same time. build adds the size of what it makes to the charge; of
// what it panics nothing is kept, so that whoever asks next builds anew.
//
// K should be a type of the caller's own package that is used with one V only,
// and there should be few different keys.
func Memo[K comparable, V any](c *Cache, key K, build func(*Charge) V) V {
	d, charge := c.slot(key)
	if d.built.Load() {
		return d.val.(V)
	}
	d.building.Lock()
	defer d.building.Unlock()
	if d.built.Load() { // by whoever had the lock before
		return d.val.(V)
	}
	val := build(charge)
	d.val = val
	d.built.Store(true)
	return val
}

func (c *Cache) slot(key any) (*derived, *Charge) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.kept[key]
	if d == nil {
		if c.kept == nil {
			c.kept = make(map[any]*derived)
		}
		d = &derived{}
		c.kept[key] = d
	}
	if c.charge == nil {
		c.charge = &Charge{}
	}
	return d, c.charge
}
