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

// Pool is the loaded bindings of one loader in one feed. It finds those that a row concerns
// without a look at all of them. Only the feed's goroutine uses it, but any goroutine may
// call Share.
//
// A row concerns the bindings whose filter it meets, and those that hold the previous row
// with its key. The previous row meets the filters of the latter, so the index finds them
// too: the pool keeps each held row once, and not its holders. A pool of few bindings looks
// at all of them and keeps no rows.
type Pool struct {
	Loader untyped.Loader

	// InMemory are the bindings whose membership is decided in memory. Asked are those
	// for which every batch must ask the database.
	InMemory, Asked map[*rowset.Member]struct{}

	links *Links // from related rows to the rows of all bindings; nil: rows show no others

	index *index.Index[*rowset.Member] // of InMemory; nil while there are few

	mu   sync.RWMutex            // locked while what follows is changed, and while others look at it
	held map[driver.Key]*heldRow // held by bindings of InMemory; nil while there are few
	few  []*rowset.Member        // InMemory, in no order; nil while there are many
}

// Few is the number of bindings up to which a pool looks at all of them. A pool that had
// more does so again below half of it.
const Few = 8

// NewPool returns a pool without bindings.
func NewPool(r untyped.Loader) *Pool {
	return &Pool{Loader: r, InMemory: make(map[*rowset.Member]struct{}), Asked: make(map[*rowset.Member]struct{}), links: newLinks(r)}
}

// Enter adds a binding that has just loaded.
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

// track adds a binding to the index, and its rows to the held ones.
func (p *Pool) track(v *rowset.Member) {
	p.index.Add(v, v.Shape.Load().Spelled(v.Filter), v.Shape.Load().ColumnOf)
	p.changeHeld(func() { v.Holding().All(func(r live.Row) { p.hold(v, r) }) })
}

// Leave removes a binding.
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

// become sets the index and the held rows. With nil, the pool looks at all of InMemory.
func (p *Pool) become(ix *index.Index[*rowset.Member], held map[driver.Key]*heldRow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.index, p.held, p.few = ix, held, nil
	if held == nil {
		p.few = slices.Collect(maps.Keys(p.InMemory))
	}
}

// changeHeld calls change with the lock held, for calls of hold and release.
func (p *Pool) changeHeld(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// hold counts one more binding that holds the row.
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

// release counts one binding less that holds the row.
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

// Share replaces a row, read for bindings that load, by an equal row that other bindings
// hold, if there is one. That saves memory.
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

// Concerning calls visit for each binding that the row with the key may concern: those
// whose filter the row (nil: there is none) may meet, and those that hold a row with the
// key. It may visit a binding twice.
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
		match = p.index.MatchRestricted // the first match has visited the others
	}
	for h := p.held[key]; h != nil; h = h.earlier {
		if h.Row == row {
			continue
		}
		match(func(column int) value.Value { return p.Loader.Value(h.Row, column) }, visit)
		match = p.index.MatchRestricted
	}
}

// Has reports whether the binding is in the pool.
func (p *Pool) Has(v *rowset.Member) bool {
	if _, ok := p.InMemory[v]; ok {
		return true
	}
	_, ok := p.Asked[v]
	return ok
}

// Moved updates the pool after a step was published. from is what the binding held before.
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
			p.hold(t.Member, after) // before release, so that a row that stays is not dropped
		}
		if !before.IsZero() {
			p.release(before)
		}
	})
}
