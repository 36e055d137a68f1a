package budget

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Why there is no room, for errors.Is.
var (
	// ErrFull means that memory in use leaves no room.
	ErrFull = errors.New("budget: no room is left")
	// ErrShare means that the party would hold more than its share.
	ErrShare = errors.New("budget: more than one's share")
)

// ShareOfFree bounds a party: it may hold this many bytes for each byte that is free.
const ShareOfFree = 2

// Budget counts bytes by kind, and bounds their sum. All methods may be called from
// any goroutine.
type Budget struct {
	limit  int64 // 0: nothing is bounded
	now    func() time.Time
	bodies int // the kind that can be made again

	used  []atomic.Int64 // by kind
	total atomic.Int64

	dropped, evicted, refused atomic.Uint64

	making sync.Mutex // one at a time makes room
	futile time.Time  // until then nothing more can go; guarded by making

	mu      sync.Mutex           // guards what follows
	holders map[*Holder]struct{} // that have not left
	closed  bool
	later   bool           // somebody makes room in the background
	wg      sync.WaitGroup // for who does
}

// New returns a budget of limit bytes for so many kinds, of which bodies is the one
// that holders can make again. With a limit of 0 or less everything is counted and
// nothing bounded.
func New(limit int64, kinds, bodies int, now func() time.Time) *Budget {
	return &Budget{limit: max(limit, 0), now: now, bodies: bodies, used: make([]atomic.Int64, kinds), holders: make(map[*Holder]struct{})}
}

// Limit returns the limit in bytes, 0 for none.
func (b *Budget) Limit() int64 { return b.limit }

// Used returns the bytes of one kind.
func (b *Budget) Used(kind int) int64 { return b.used[kind].Load() }

// Total returns the bytes of all kinds.
func (b *Budget) Total() int64 { return b.total.Load() }

// Counts say how often the budget had a holder drop its bodies, evicted an idle holder,
// and refused a newcomer.
type Counts struct{ Dropped, Evicted, Refused uint64 }

// Counts returns what the budget has done so far.
func (b *Budget) Counts() Counts {
	return Counts{b.dropped.Load(), b.evicted.Load(), b.refused.Load()}
}

// Owner keeps the memory that a [Holder] counts. The budget calls its methods without
// holding a lock.
type Owner interface {
	// DropBodies frees what can be made again.
	DropBodies()
	// Evict frees everything, unless somebody uses it. It reports whether it did.
	Evict() bool
}

// Holder counts the memory of one owner.
type Holder struct {
	b     *Budget
	owner Owner

	parties []*Party // whose shares it is part of

	own    atomic.Int64 // what is its alone
	bodies atomic.Int64
	looked atomic.Int64 // when it was looked at, in nanoseconds
}

// Party is a client or a tenant: its holders together are bounded by a share. The zero
// value holds nothing.
type Party struct{ used atomic.Int64 }

// Used returns what the party's holders keep for themselves.
func (p *Party) Used() int64 { return p.used.Load() }

// Join adds a holder, which is part of the shares of the parties; nil is nobody.
func (b *Budget) Join(owner Owner, parties ...*Party) *Holder {
	h := &Holder{b: b, owner: owner}
	for _, p := range parties {
		if p != nil {
			h.parties = append(h.parties, p)
		}
	}
	h.looked.Store(b.now().UnixNano())
	b.mu.Lock()
	b.holders[h] = struct{}{}
	b.mu.Unlock()
	return h
}

// Leave takes the holder out. What it keeps must have been taken off before, or is
// taken off later.
func (h *Holder) Leave() {
	h.b.mu.Lock()
	delete(h.b.holders, h)
	h.b.mu.Unlock()
}

// Own returns the bytes that the holder shares with nobody.
func (h *Holder) Own() int64 { return h.own.Load() }

// Add adds bytes (or, below zero, takes them off). Shared bytes belong to several
// holders: they are counted once, and for none of them. It never blocks. When the
// limit is passed room is made in the background.
func (h *Holder) Add(kind int, bytes int, shared bool) {
	b, n := h.b, int64(bytes)
	b.used[kind].Add(n)
	if !shared {
		h.own.Add(n)
		for _, p := range h.parties {
			p.used.Add(n)
		}
	}
	if kind == b.bodies {
		h.bodies.Add(n)
	}
	if b.total.Add(n) > b.limit && n > 0 && b.limit > 0 {
		b.makeRoomLater()
	}
}

// Looked notes that somebody uses what the holder keeps.
func (h *Holder) Looked() { h.looked.Store(h.b.now().UnixNano()) }

// Fit makes room for a newcomer of so many bytes, of these parties, each of which
// may be nil. It returns [ErrFull] or [ErrShare] when there is none.
func (b *Budget) Fit(need int64, parties ...*Party) error {
	if b.limit == 0 {
		return nil
	}
	if b.total.Load()+need > b.limit {
		b.makeRoom(need)
	}
	free := b.limit - b.total.Load()
	if free < need {
		b.refused.Add(1)
		return ErrFull
	}
	for _, p := range parties {
		if p == nil || b.hasShare(p, need) {
			continue
		}
		has := func() bool { return b.hasShare(p, need) }
		if !b.evictUntil(has, func(h *Holder) bool { return slices.Contains(h.parties, p) }) && !b.evictUntil(has, nil) {
			b.refused.Add(1)
			return ErrShare
		}
	}
	return nil
}

// hasShare reports whether the party may hold so much more. Bodies leave their place
// to whoever needs it, so they count as free.
func (b *Budget) hasShare(p *Party, need int64) bool {
	free := b.limit - b.total.Load() + b.used[b.bodies].Load()
	return p.used.Load()+need <= ShareOfFree*(free-need)
}

// evictUntil lets holders go that nobody uses, of those that are meant (nil: all), until
// enough holds. It reports whether that was reached.
func (b *Budget) evictUntil(enough func() bool, meant func(*Holder) bool) bool {
	for _, h := range b.ranked((*Holder).Own) {
		if meant != nil && !meant(h) {
			continue
		}
		if h.owner.Evict() {
			b.evicted.Add(1)
			if enough() {
				return true
			}
		}
	}
	return false
}

// Over reports whether the limit is passed although everything was freed that can be.
func (b *Budget) Over() bool {
	if b.limit == 0 || b.total.Load() <= b.limit {
		return false
	}
	b.makeRoom(0)
	return b.total.Load() > b.limit
}

// Reserve counts bytes of a kind, for a party, until release is called. It returns
// [ErrFull] or [ErrShare] when there is no room; see [Budget.Fit].
func (b *Budget) Reserve(kind int, bytes int64, p *Party) (release func(), err error) {
	if err := b.Fit(bytes, p); err != nil {
		return nil, err
	}
	return b.Keep(kind, bytes, p), nil
}

// Keep counts bytes that are kept whether there is room or not, of a kind and for a
// party (nil: nobody), until release is called. Releasing twice is harmless.
func (b *Budget) Keep(kind int, bytes int64, p *Party) (release func()) {
	add := func(n int64) {
		b.used[kind].Add(n)
		if p != nil {
			p.used.Add(n)
		}
		if b.total.Add(n) > b.limit && n > 0 && b.limit > 0 {
			b.makeRoomLater()
		}
	}
	add(bytes)
	return sync.OnceFunc(func() { add(-bytes) })
}

// Refused counts a refusal that the caller has decided on.
func (b *Budget) Refused() { b.refused.Add(1) }

// Sweep has every holder drop its bodies that nobody has looked at for so long.
func (b *Budget) Sweep(idle time.Duration) {
	before := b.now().Add(-idle).UnixNano()
	for _, h := range b.all() {
		if h.bodies.Load() > 0 && h.looked.Load() <= before {
			b.dropped.Add(1)
			h.owner.DropBodies()
		}
	}
}

// Close waits for who makes room, and lets nobody begin. It is called once.
func (b *Budget) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.wg.Wait()
}

func (b *Budget) makeRoomLater() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.later {
		return
	}
	b.later = true
	b.wg.Go(func() {
		b.makeRoom(0)
		b.mu.Lock()
		b.later = false
		b.mu.Unlock()
	})
}

// slack is the part of the limit that is freed beyond the need, so that room is not
// made for every byte.
const slack = 16

// futileFor is the pause after a search for memory to free has found too little.
const futileFor = 20 * time.Millisecond

// makeRoom frees memory until so many bytes fit: bodies first, then idle holders.
func (b *Budget) makeRoom(need int64) {
	b.making.Lock()
	defer b.making.Unlock()
	if b.total.Load()+need <= b.limit { // another goroutine has made room
		return
	}
	now := b.now()
	if now.Before(b.futile) {
		return
	}
	target := b.limit - need - b.limit/slack
	fits := func() bool { return b.total.Load() <= target }
	// Bodies before members, and what is large and was not looked at first.
	for _, h := range b.ranked((*Holder).bodyBytes) {
		if fits() {
			return
		}
		b.dropped.Add(1)
		h.owner.DropBodies()
	}
	for _, h := range b.ranked((*Holder).Own) {
		if fits() {
			return
		}
		if h.owner.Evict() {
			b.evicted.Add(1)
		}
	}
	if !fits() {
		b.futile = now.Add(futileFor)
	}
}

func (h *Holder) bodyBytes() int64 { return h.bodies.Load() }

// ranked returns the holders that keep something, in the order in which they are to be
// freed: by bytes times the time since they were last used, the largest first.
func (b *Budget) ranked(bytes func(*Holder) int64) []*Holder {
	now := b.now().UnixNano()
	type rank struct {
		h     *Holder
		score float64
	}
	var ranks []rank
	for _, h := range b.all() {
		if n := bytes(h); n > 0 {
			idle := max(now-h.looked.Load(), int64(time.Millisecond))
			ranks = append(ranks, rank{h, float64(n) * float64(idle)})
		}
	}
	slices.SortFunc(ranks, func(x, y rank) int { return cmp.Compare(y.score, x.score) })
	out := make([]*Holder, len(ranks))
	for i, r := range ranks {
		out[i] = r.h
	}
	return out
}

func (b *Budget) all() []*Holder {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*Holder, 0, len(b.holders))
	for h := range b.holders {
		all = append(all, h)
	}
	return all
}
