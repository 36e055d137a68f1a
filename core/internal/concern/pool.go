package concern

import (
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
// A row concerns the bindings whose filter it meets, which the index finds, and
// those that hold it. While there are few bindings all of them are looked at,
// and neither is kept.
type Pool struct {
	Loader untyped.Loader

	// InMemory are the bindings whose membership is decided in memory, row by row.
	// Asked are those about which the database is asked with every batch.
	InMemory, Asked map[*rowset.Member]struct{}

	links *Links // between the rows of all of them and related rows; nil when rows show none

	index *index.Index[*rowset.Member] // of InMemory; nil while there are few

	mu   sync.RWMutex            // held while held is changed, and while others look at it
	held map[driver.Key]*heldRow // by bindings of InMemory; nil while there are few
}

// Few is the number of bindings up to which a pool looks at all of them; one that
// had more does so again below half as many.
const Few = 8

// heldRow is a row that bindings hold, and which. Bindings that come to hold
// the same row share it.
type heldRow struct {
	rowset.Fetched
	holders holders
}

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
		p.setHeld(index.New[*rowset.Member](), make(map[driver.Key]*heldRow))
		for v := range p.InMemory {
			p.track(v)
		}
	}
}

// track enters a binding and the rows that it holds.
func (p *Pool) track(v *rowset.Member) {
	p.index.Add(v, v.Shape.Load().Spelled(v.Filter), v.Shape.Load().ColumnOf)
	v.Holding().All(func(r live.Row) { p.hold(v, r) })
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
	if p.held == nil {
		return
	}
	if len(p.InMemory) < Few/2 {
		p.setHeld(nil, nil)
		return
	}
	p.index.Remove(v)
	v.Holding().All(func(r live.Row) { p.release(v, r.Key()) })
}

func (p *Pool) setHeld(ix *index.Index[*rowset.Member], held map[driver.Key]*heldRow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.index, p.held = ix, held
}

// hold notes that the binding holds the row.
func (p *Pool) hold(v *rowset.Member, r live.Row) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.held[r.Key()]
	if h == nil {
		h = &heldRow{}
		p.held[r.Key()] = h
	}
	if h.Row != r.Value() {
		h.Fetched = rowset.Fetched{Key: r.Key(), Row: r.Value()}
	}
	h.Keep(v.Shape.Load(), r)
	h.holders.add(v)
}

// release notes that the binding does not hold the row any more.
func (p *Pool) release(v *rowset.Member, key driver.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.held[key]; h != nil && h.holders.remove(v) {
		delete(p.held, key)
	}
}

// Share makes the candidate, which was read for bindings that begin, the row
// that others hold already, when it is the same.
func (p *Pool) Share(c *rowset.Fetched) {
	p.mu.RLock()
	h := p.held[c.Key]
	var known rowset.Fetched
	if h != nil {
		known = h.Copy()
	}
	p.mu.RUnlock()
	if h != nil && reflect.DeepEqual(known.Row, c.Row) {
		*c = known
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
	if row != nil {
		p.index.Match(func(column int) value.Value { return p.Loader.Value(row, column) }, visit)
	}
	if h := p.held[key]; h != nil {
		h.holders.each(visit)
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
	if t.Anew {
		from.All(func(r live.Row) { p.release(t.Member, r.Key()) })
		t.Member.Holding().All(func(r live.Row) { p.hold(t.Member, r) })
		return
	}
	if t.Window != nil {
		for _, key := range t.Order {
			if r := t.Held(key); !r.IsZero() {
				p.hold(t.Member, r)
			} else {
				p.release(t.Member, key)
			}
		}
		return
	}
	e := t.Edit.Event()
	for _, r := range e.Deleted {
		p.release(t.Member, r.Key())
	}
	for _, r := range e.Created {
		p.hold(t.Member, r)
	}
	for _, r := range e.Updated {
		p.hold(t.Member, r)
	}
}

// holders is a set of bindings, small as long as they are few.
type holders struct {
	few  []*rowset.Member
	many map[*rowset.Member]struct{}
}

// maxFewHolders is the number beyond which holders are hashed.
const maxFewHolders = 8

func (h *holders) add(v *rowset.Member) {
	if h.many != nil {
		h.many[v] = struct{}{}
		return
	}
	if slices.Contains(h.few, v) {
		return
	}
	if h.few = append(h.few, v); len(h.few) > maxFewHolders {
		h.many = make(map[*rowset.Member]struct{}, 2*maxFewHolders)
		for _, v := range h.few {
			h.many[v] = struct{}{}
		}
		h.few = nil
	}
}

func (h *holders) remove(v *rowset.Member) (empty bool) {
	if h.many != nil {
		delete(h.many, v)
		return len(h.many) == 0
	}
	if i := slices.Index(h.few, v); i >= 0 {
		last := len(h.few) - 1
		h.few[i], h.few[last] = h.few[last], nil
		h.few = h.few[:last]
	}
	return len(h.few) == 0
}

func (h *holders) each(visit func(*rowset.Member)) {
	for _, v := range h.few {
		visit(v)
	}
	for v := range h.many {
		visit(v)
	}
}
