package live

import (
	"sync"
	"sync/atomic"
)

// Cache keeps values that transports derive from an immutable value, such as a frame or a
// compressed body, so that each is built once for all clients. It belongs to a [Snapshot]
// or an [Event] and lives as long. Use [Memo] to read it.
type Cache struct {
	mu     sync.Mutex
	kept   map[any]*derived // guarded by mu
	charge *Charge          // of the cached values; guarded by mu

	account Account // nil: none; guarded by mu
	looked  bool    // the account is told when something is asked for
}

// derived is one cached value. Its builder holds building.
type derived struct {
	building sync.Mutex
	built    atomic.Bool // val is set
	val      any
}

// Charge counts the bytes of the values that a [Cache] keeps.
type Charge struct {
	mu      sync.Mutex
	bytes   int     // guarded by mu
	account Account // nil: nobody is told, or no longer; guarded by mu
}

// Add adds bytes, or subtracts them when the number is negative. A value that grows after
// it was built keeps its charge and calls Add then. Any goroutine may call it.
func (c *Charge) Add(bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += bytes
	if c.account != nil {
		c.account.Add(Bodies, bytes)
	}
}

// close subtracts everything from the account. Later calls of Add do not affect the
// account.
func (c *Charge) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.account != nil {
		c.account.Add(Bodies, -c.bytes)
		c.account = nil
	}
}

// Bytes returns the size of the cached values, as their builders reported it.
func (c *Cache) Bytes() int {
	c.mu.Lock()
	charge := c.charge
	c.mu.Unlock()
	if charge == nil {
		return 0
	}
	charge.mu.Lock()
	defer charge.mu.Unlock()
	return charge.bytes
}

// drop empties the cache. Values that callers already have stay valid.
func (c *Cache) drop() {
	c.mu.Lock()
	charge := c.charge
	c.kept, c.charge = nil, nil
	c.mu.Unlock()
	if charge != nil {
		charge.close()
	}
}

// attach sets the account that counts the cached values. The publisher calls it before
// anybody else can reach the cache. With looked set, the account is told of each use.
func (c *Cache) attach(a Account, looked bool) { c.account, c.looked = a, looked }

// detach subtracts the cache from its account once the snapshot or event that owns it is no
// longer current. Readers that still hold that value go on using the cache.
func (c *Cache) detach() {
	c.mu.Lock()
	charge := c.charge
	c.account = nil
	c.mu.Unlock()
	if charge != nil {
		charge.close()
	}
}

// Memo returns the value that build makes for the key. build runs once, even when many
// goroutines ask at the same time, and adds the size of its result to the charge. When
// build panics nothing is cached, and the next caller builds again.
//
// K should be a type of the caller's own package, used with one V only. Keep the number of
// different keys small.
func Memo[K comparable, V any](c *Cache, key K, build func(*Charge) V) V {
	d, charge := c.slot(key)
	if d.built.Load() {
		return d.val.(V)
	}
	d.building.Lock()
	defer d.building.Unlock()
	if d.built.Load() { // a concurrent caller has built it
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
		c.charge = &Charge{account: c.account}
	}
	if c.looked && c.account != nil {
		c.account.Looked()
	}
	return d, c.charge
}
