package concern

import (
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/index"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/value"
)

// Pool is the loaded bindings of one loader in one feed. It knows which of them
// a row concerns, so that a change costs what it changes, however many bindings
// there are. Only the feed's goroutine uses it; Share may be called by any.
//
// A row concerns the bindings whose filter it meets, and those that hold the row of
// its key as it was. The latter are those whose filter that row meets, so the index
// finds both, and the pool keeps each row once, not who holds it. While there are few
// bindings all of them are looked at, and nothing is kept.
type Pool struct {
	Loader untyped.Loader

	// InMemory are the bindings whose membership is decided in memory, row by row.
	// Asked are those about which the database is asked with every batch.
	InMemory, Asked map[*rowset.Member]struct{}

	links *Links // between the rows of all of them and related rows; nil when rows show none

	index *index.Index[*rowset.Member] // of InMemory; nil while there are few

	mu   sync.RWMutex            // locked while what follows is changed, and while others look at it
	held map[driver.Key]*heldRow // by bindings of InMemory; nil while there are few
	few  []*rowset.Member        // of InMemory, in no order; nil while there are many
}

// Few is the number of bindings up to which a pool looks at all of them; one that
// had more does so again below half as many.
const Few = 8

// NewPool returns a pool without bindings.
func NewPool(r untyped.Loader) *Pool {
	return &Pool{Loader: r, InMemory: make(map[*rowset.Member]struct{}), Asked: make(map[*rowset.Member]struct{}), links: newLinks(r)}
}

// Enter takes up a binding that has just loaded.
func (p *Pool) Enter(v *rowset.Member) {
	if p.links != nil {
		v.Holding().All(p.links.hold)
	}
	if !v.ByRow() {
		p.Asked[v] = struct{}{}
		return
	}
	p.InMemory[v] = struct{}{}
	switch {
	case p.held != nil:
		p.track(v)
	case len(p.InMemory) > Few:
		p.become(index.New[*rowset.Member](), make(map[driver.Key]*heldRow))
		for v := range p.InMemory {
			p.track(v)
		}
	default:
		p.become(nil, nil)
	}
}

// track enters a binding and the rows that it holds.
func (p *Pool) track(v *rowset.Member) {
	p.index.Add(v, v.Shape.Load().Spelled(v.Filter), v.Shape.Load().ColumnOf)
	p.changeHeld(func() { v.Holding().All(func(r live.Row) { p.hold(v, r) }) })
}

// Leave forgets a binding.
func (p *Pool) Leave(v *rowset.Member) {
	if p.links != nil && p.Has(v) {
		v.Holding().All(p.links.release)
	}
	delete(p.Asked, v)
	if _, ok := p.InMemory[v]; !ok {
		return
	}
	delete(p.InMemory, v)
	if p.held == nil || len(p.InMemory) < Few/2 {
		p.become(nil, nil)
		return
	}
	p.index.Remove(v)
	p.changeHeld(func() { v.Holding().All(p.release) })
}

// become has the pool look at all of InMemory from now on or, where there is an index,
// at those that it finds.
func (p *Pool) become(ix *index.Index[*rowset.Member], held map[driver.Key]*heldRow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.index, p.held, p.few = ix, held, nil
	if held == nil {
		p.few = slices.Collect(maps.Keys(p.InMemory))
	}
}

// changeHeld calls change, which calls hold and release.
func (p *Pool) changeHeld(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// hold notes that one more binding holds the row.
func (p *Pool) hold(v *rowset.Member, r live.Row) {
	newest := p.held[r.Key()]
	h := newest.find(r.Value())
	if h == nil {
		h = &heldRow{Fetched: rowset.Fetched{Key: r.Key(), Row: r.Value()}, earlier: newest}
		p.held[r.Key()] = h
	}
	if h.Row == r.Value() {
		h.Keep(v.Shape.Load(), r)
	}
	h.holders++
}

// release notes that one binding less holds the row.
func (p *Pool) release(r live.Row) {
	newest := p.held[r.Key()]
	h := newest.find(r.Value())
	if h == nil {
		return
	}
	if h.holders--; h.holders > 0 {
		return
	}
	if newest = newest.without(h); newest == nil {
		delete(p.held, r.Key())
	} else {
		p.held[r.Key()] = newest
	}
}

// Share makes the candidate, which was read for bindings that begin, the row
// that others hold already, when it is the same.
func (p *Pool) Share(c *rowset.Fetched) {
	p.mu.RLock()
	few, h := p.few, p.held[c.Key]
	var known rowset.Fetched
	if h != nil {
		known = h.Copy()
	}
	p.mu.RUnlock()
	if h != nil {
		if reflect.DeepEqual(known.Row, c.Row) {
			*c = known
		}
		return
	}
	for _, v := range few {
		if r := v.Holding().Get(c.Key); !r.IsZero() && reflect.DeepEqual(r.Value(), c.Row) {
			c.Row = r.Value()
			c.Keep(v.Shape.Load(), r)
			return
		}
	}
}

// Concerning calls visit for each binding that the key's row may concern, some
// of them perhaps twice: those whose filter the row (nil: there is none) may
// meet, and those that hold the row of that key.
func (p *Pool) Concerning(key driver.Key, row any, visit func(*rowset.Member)) {
	if p.held == nil {
		for v := range p.InMemory {
			visit(v)
		}
		return
	}
	match := p.index.Match
	if row != nil {
		match(func(column int) value.Value { return p.Loader.Value(row, column) }, visit)
		match = p.index.MatchRestricted // the others have been visited
	}
	for h := p.held[key]; h != nil; h = h.earlier {
		if h.Row == row {
			continue
		}
		match(func(column int) value.Value { return p.Loader.Value(h.Row, column) }, visit)
		match = p.index.MatchRestricted
	}
}

// Has reports whether the binding was taken up.
func (p *Pool) Has(v *rowset.Member) bool {
	if _, ok := p.InMemory[v]; ok {
		return true
	}
	_, ok := p.Asked[v]
	return ok
}

// Moved takes note of a transition that was published; from is what the binding
// held before.
func (p *Pool) Moved(from rowset.Holding, t *rowset.Step) {
	if p.links != nil && p.Has(t.Member) {
		p.links.moved(from, t)
	}
	if _, ok := p.InMemory[t.Member]; !ok || p.held == nil {
		return
	}
	p.changeHeld(func() { p.moved(from, t) })
}

func (p *Pool) moved(from rowset.Holding, t *rowset.Step) {
	if t.Anew {
		from.All(p.release)
		t.Member.Holding().All(func(r live.Row) { p.hold(t.Member, r) })
		return
	}
	t.Each(func(key driver.Key) {
		before, after := from.Get(key), t.Held(key)
		if before == after {
			return
		}
		if !after.IsZero() {
			p.hold(t.Member, after) // first, so that a row which stays is not forgotten
		}
		if !before.IsZero() {
			p.release(before)
		}
	})
}
