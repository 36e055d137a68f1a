// Package lease keeps values, called members, alive while they are in use and for some time
// afterwards. It counts leases and bounds the number of members.
package lease

import (
	"container/list"
	"errors"
	"sync"
	"time"
)

// Errors of [Pool.Open], for errors.Is.
var (
	// ErrFull means that Config.Max members are in use.
	ErrFull = errors.New("lease: as many as there may be are in use")
	// ErrShare means that the group has as many members in use as it may.
	ErrShare = errors.New("lease: a group has its share in use")
)

// shareOfFree bounds a group: it may have this many members in use for each one that could
// still be opened. See package budget for why.
const shareOfFree = 2

// Config configures a pool. All fields are required.
type Config[V any] struct {
	// Max bounds the members that are alive.
	Max int
	// IdleAfter is how long a member stays alive when nobody uses it.
	IdleAfter time.Duration
	// End is called once, without a lock, for each member that retires or is evicted.
	End func(V)
}

// Pool keeps members alive. All methods may be called from any goroutine.
type Pool[K comparable, V any] struct {
	cfg Config[V]

	mu      sync.Mutex // guards what follows
	closed  error
	members map[K]*member[K, V]
	idle    list.List      // of *member, the longest idle first
	groups  map[string]int // members in use, by group
	retirer *time.Timer
	counts  Counts
}

// member is a value with the number of its leases.
type member[K comparable, V any] struct {
	key    K
	val    V
	group  string
	leases int
	idle   *list.Element // nil while in use
	since  time.Time     // when it became idle
}

// Counts are the numbers of members, now and since the start.
type Counts struct {
	// Alive is the number of members, of which InUse are in use.
	Alive, InUse int
	// Opened counts members that were made, Retired those that ended after IdleAfter,
	// Evicted those that ended to make room, and Refused the calls of Open that found
	// no room.
	Opened, Retired, Evicted, Refused uint64
}

// New returns a pool without members.
func New[K comparable, V any](cfg Config[V]) *Pool[K, V] {
	return &Pool[K, V]{cfg: cfg, members: make(map[K]*member[K, V]), groups: make(map[string]int)}
}

// Lease keeps a member alive until Release.
type Lease[K comparable, V any] struct {
	// Value is the member.
	Value V

	pool   *Pool[K, V]
	member *member[K, V]
	once   sync.Once
}

// Release ends the lease. Releasing twice is harmless.
func (l *Lease[K, V]) Release() { l.once.Do(func() { l.pool.release(l.member) }) }

// Open returns a lease of the member with the key. If there is none, it calls make, with
// the pool locked, and counts the new member for the group. A group cannot use up the room
// of others; the group "" is not bounded. If the pool is full, Open evicts the longest idle
// member. The error is [ErrFull], [ErrShare], make's, or the one given to Close.
func (p *Pool[K, V]) Open(key K, group string, make func() (V, error)) (*Lease[K, V], error) {
	var gone []V
	defer func() { p.end(gone) }()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed != nil {
		return nil, p.closed
	}
	m := p.members[key]
	if m == nil {
		if err := p.roomLocked(group, &gone); err != nil {
			p.counts.Refused++
			return nil, err
		}
		val, err := make()
		if err != nil {
			return nil, err
		}
		m = &member[K, V]{key: key, val: val, group: group}
		p.members[key] = m
		p.counts.Opened++
	}
	if m.idle != nil {
		p.idle.Remove(m.idle)
		m.idle = nil
	}
	if m.leases++; m.leases == 1 {
		p.groups[m.group]++
	}
	return &Lease[K, V]{Value: m.val, pool: p, member: m}, nil
}

// roomLocked makes room for one more member of the group. It appends an evicted member to
// gone.
func (p *Pool[K, V]) roomLocked(group string, gone *[]V) error {
	free := p.cfg.Max - (len(p.members) - p.idle.Len())
	if group != "" && free > 0 && p.groups[group] >= shareOfFree*free {
		return ErrShare
	}
	if len(p.members) < p.cfg.Max {
		return nil
	}
	e := p.idle.Front()
	if e == nil {
		return ErrFull
	}
	p.counts.Evicted++
	*gone = append(*gone, p.dropLocked(e.Value.(*member[K, V])))
	return nil
}

func (p *Pool[K, V]) release(m *member[K, V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.leases--; m.leases > 0 {
		return
	}
	if p.groups[m.group]--; p.groups[m.group] == 0 {
		delete(p.groups, m.group)
	}
	if p.closed != nil || p.members[m.key] != m {
		return
	}
	m.since = time.Now()
	m.idle = p.idle.PushBack(m)
	if p.idle.Len() == 1 {
		p.retireLater(p.cfg.IdleAfter)
	}
}

// Has reports whether the member with the key is alive.
func (p *Pool[K, V]) Has(key K) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.members[key] != nil
}

// Evict ends the member with the key, unless it is in use. It reports whether it did.
func (p *Pool[K, V]) Evict(key K) bool {
	p.mu.Lock()
	m := p.members[key]
	if m == nil || m.idle == nil || p.closed != nil {
		p.mu.Unlock()
		return false
	}
	p.counts.Evicted++
	val := p.dropLocked(m)
	p.mu.Unlock()
	p.end([]V{val})
	return true
}

// Remove removes the member, even if it is in use. It does not call End.
func (p *Pool[K, V]) Remove(key K) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.members[key]; m != nil {
		p.dropLocked(m)
	}
}

// retireLater calls retire after the duration.
func (p *Pool[K, V]) retireLater(d time.Duration) {
	if p.retirer == nil {
		p.retirer = time.AfterFunc(d, p.retire)
	} else {
		p.retirer.Reset(d)
	}
}

func (p *Pool[K, V]) retire() {
	var gone []V
	defer func() { p.end(gone) }()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed != nil {
		return
	}
	for e := p.idle.Front(); e != nil; e = p.idle.Front() {
		m := e.Value.(*member[K, V])
		if rest := p.cfg.IdleAfter - time.Since(m.since); rest > 0 {
			p.retireLater(rest)
			return
		}
		p.counts.Retired++
		gone = append(gone, p.dropLocked(m))
	}
}

func (p *Pool[K, V]) dropLocked(m *member[K, V]) V {
	if m.idle != nil {
		p.idle.Remove(m.idle)
		m.idle = nil
	}
	delete(p.members, m.key)
	return m.val
}

func (p *Pool[K, V]) end(gone []V) {
	for _, val := range gone {
		p.cfg.End(val)
	}
}

// Close makes Open return the error why from now on. It returns the members that are alive,
// and does not call End for them. A second call returns nil.
func (p *Pool[K, V]) Close(why error) []V {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed != nil {
		return nil
	}
	p.closed = why
	if p.retirer != nil {
		p.retirer.Stop()
	}
	p.idle.Init()
	return p.allLocked()
}

// All returns the members that are alive, in no order.
func (p *Pool[K, V]) All() []V {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.allLocked()
}

func (p *Pool[K, V]) allLocked() []V {
	all := make([]V, 0, len(p.members))
	for _, m := range p.members {
		all = append(all, m.val)
	}
	return all
}

// Counts returns the current numbers.
func (p *Pool[K, V]) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	c.Alive = len(p.members)
	c.InUse = c.Alive - p.idle.Len()
	return c
}
