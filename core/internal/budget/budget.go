package budget

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of [Budget.Fit] and [Budget.Reserve], for errors.Is.
var (
	// ErrFull means that there is no room, even after everything unused was freed.
	ErrFull = errors.New("budget: no room is left")
	// ErrShare means that a party would hold more than its share.
	ErrShare = errors.New("budget: more than one's share")
)

// ShareOfFree bounds a party: it may hold this many bytes for each free byte.
const ShareOfFree = 2

// Budget counts bytes by kind, and bounds their sum. All methods may be called from
// any goroutine.
type Budget struct {
	limit  int64 // 0: no limit
	now    func() time.Time
	bodies int // the kind of memory that can be made again

	used  []atomic.Int64 // by kind
	total atomic.Int64

	dropped, evicted, refused atomic.Uint64

	making sync.Mutex // held by the goroutine that makes room
	futile time.Time  // no new attempt to make room before; guarded by making

	mu      sync.Mutex           // guards what follows
	holders map[*Holder]struct{} // that have not left
	closed  bool
	later   bool           // a goroutine makes room in the background
	wg      sync.WaitGroup // of that goroutine
}

// New returns a budget of limit bytes for kinds of memory numbered from 0. bodies is the
// kind that holders can make again. With a limit of 0 or less the budget only counts.
func New(limit int64, kinds, bodies int, now func() time.Time) *Budget {
	return &Budget{limit: max(limit, 0), now: now, bodies: bodies, used: make([]atomic.Int64, kinds), holders: make(map[*Holder]struct{})}
}

// Limit returns the limit in bytes, 0 for none.
func (b *Budget) Limit() int64 { return b.limit }

// Used returns the bytes of one kind.
func (b *Budget) Used(kind int) int64 { return b.used[kind].Load() }

// Total returns the bytes of all kinds.
func (b *Budget) Total() int64 { return b.total.Load() }

// Counts are how often the budget made a holder drop its bodies, evicted an idle holder, and
// refused a newcomer.
type Counts struct{ Dropped, Evicted, Refused uint64 }

// Counts returns the counts so far.
func (b *Budget) Counts() Counts {
	return Counts{b.dropped.Load(), b.evicted.Load(), b.refused.Load()}
}

// Owner owns the memory that a [Holder] counts. The budget calls its methods from any
// goroutine. They must not call Fit, Reserve or Over: the budget may be making room.
type Owner interface {
	// DropBodies frees memory that can be made again.
	DropBodies()
	// Evict frees everything, unless it is in use. It reports whether it did.
	Evict() bool
}

// Holder counts the memory of one owner.
type Holder struct {
	b     *Budget
	owner Owner

	parties []*Party // it counts towards their shares

	own    atomic.Int64 // bytes not shared with other holders
	bodies atomic.Int64
	looked atomic.Int64 // time of last use, in Unix nanoseconds
}

// Party is a client or a tenant. A share bounds its holders together. The zero value is
// ready to use.
type Party struct{ used atomic.Int64 }

// Used returns the bytes of the party's holders, without shared ones.
func (p *Party) Used() int64 { return p.used.Load() }

// Join adds a holder that counts towards the shares of the parties. It ignores nil parties.
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

// Leave removes the holder, so that it is no longer asked to free memory. The caller must
// still take its bytes off with Add, before or after.
func (h *Holder) Leave() {
	h.b.mu.Lock()
	delete(h.b.holders, h)
	h.b.mu.Unlock()
}

// Own returns the bytes that the holder does not share.
func (h *Holder) Own() int64 { return h.own.Load() }

// Add adds bytes, or below zero takes them off. Shared bytes belong to several holders: add
// them once, and they count for none of these. It never blocks. Beyond the limit, the budget
// makes room in the background.
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

// Looked notes that the holder's memory is in use.
func (h *Holder) Looked() { h.looked.Store(h.b.now().UnixNano()) }

// Fit makes room for a newcomer of need bytes that counts towards the parties, each of which
// may be nil. It returns [ErrFull] or [ErrShare] if it cannot. It reserves nothing.
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

// hasShare reports whether the party may hold need more bytes. Bodies can be dropped, so
// they count as free.
func (b *Budget) hasShare(p *Party, need int64) bool {
	free := b.limit - b.total.Load() + b.used[b.bodies].Load()
	return p.used.Load()+need <= ShareOfFree*(free-need)
}

// evictUntil evicts unused holders among those meant (nil: all), until enough returns true.
// It reports whether that happened.
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

// Over reports whether the limit is exceeded even after an attempt to make room.
func (b *Budget) Over() bool {
	if b.limit == 0 || b.total.Load() <= b.limit {
		return false
	}
	b.makeRoom(0)
	return b.total.Load() > b.limit
}

// Reserve makes room for bytes of a kind and a party (nil: none), and counts them until
// release is called. It returns [ErrFull] or [ErrShare] if there is no room.
func (b *Budget) Reserve(kind int, bytes int64, p *Party) (release func(), err error) {
	if err := b.Fit(bytes, p); err != nil {
		return nil, err
	}
	return b.Keep(kind, bytes, p), nil
}

// Keep counts bytes of a kind and a party (nil: none), even beyond the limit, until release
// is called. Releasing twice is harmless.
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

// Refused counts a refusal by the caller.
func (b *Budget) Refused() { b.refused.Add(1) }

// Sweep makes every holder that was not used for idle drop its bodies.
func (b *Budget) Sweep(idle time.Duration) {
	before := b.now().Add(-idle).UnixNano()
	for _, h := range b.all() {
		if h.bodies.Load() > 0 && h.looked.Load() <= before {
			b.dropped.Add(1)
			h.owner.DropBodies()
		}
	}
}

// Close ends the making of room in the background, and waits for it. Call it once.
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

// slack: a 1/slack part of the limit is freed beyond the need, so that room is not made for
// every byte.
const slack = 16

// futileFor is the pause after an attempt to make room has freed too little.
const futileFor = 20 * time.Millisecond

// makeRoom frees memory until need bytes fit: bodies first, then idle holders. It may fail.
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
	// Large ones that were not used for long come first, see ranked.
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

// ranked returns the holders that use memory, in the order in which to free it: by bytes
// times the time since their last use, the largest first.
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
