package core

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/index"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/value"
)

// pool is the loaded bindings of one loader in one feed. It knows which of them
// a row concerns, so that a change costs what it changes, however many bindings
// there are. Only the feed's goroutine uses it.
//
// A row concerns the bindings whose filter it meets, which the index finds, and
// those that hold it. While there are few bindings all of them are looked at,
// and neither is kept.
type pool struct {
	read reader

	// known are the bindings whose membership is decided in memory, row by
	// row; others those that are read anew with every batch.
	known, others map[*publisher]struct{}

	shown *shown // of known and others; nil when rows show no others

	index *index.Index[*publisher] // of known; nil while there are few
	held  map[driver.Key]*heldRow  // by bindings of known; nil while there are few
}

// A pool of at most fewViews bindings looks at all of them; one that had more
// does so again below half as many.
const fewViews = 8

// heldRow is a row that bindings hold, and which. Bindings that come to hold
// the same row share it.
type heldRow struct {
	candidate
	holders holders
}

func newPool(r reader) *pool {
	return &pool{read: r, known: make(map[*publisher]struct{}), others: make(map[*publisher]struct{}), shown: newShown(r)}
}

// enter takes up a binding that has just loaded.
func (p *pool) enter(v *publisher) {
	if p.shown != nil {
		v.holding().all(p.shown.hold)
	}
	if !v.byRow() {
		p.others[v] = struct{}{}
		return
	}
	p.known[v] = struct{}{}
	switch {
	case p.held != nil:
		p.track(v)
	case len(p.known) > fewViews:
		p.index, p.held = index.New[*publisher](), make(map[driver.Key]*heldRow)
		for v := range p.known {
			p.track(v)
		}
	}
}

// track enters a binding and the rows that it holds.
func (p *pool) track(v *publisher) {
	p.index.Add(v, v.filter, v.shape.Load().columnOf)
	v.holding().all(func(r live.Row) { p.hold(v, r) })
}

// leave forgets a binding.
func (p *pool) leave(v *publisher) {
	if p.shown != nil && p.has(v) {
		v.holding().all(p.shown.release)
	}
	delete(p.others, v)
	if _, ok := p.known[v]; !ok {
		return
	}
	delete(p.known, v)
	if p.held == nil {
		return
	}
	if len(p.known) < fewViews/2 {
		p.index, p.held = nil, nil
		return
	}
	p.index.Remove(v)
	v.holding().all(func(r live.Row) { p.release(v, r.Key()) })
}

// hold notes that the binding holds the row.
func (p *pool) hold(v *publisher, r live.Row) {
	h := p.held[r.Key()]
	if h == nil {
		h = &heldRow{}
		p.held[r.Key()] = h
	}
	if h.row != r.Value() {
		h.candidate = candidate{key: r.Key(), row: r.Value()}
	}
	sh := v.shape.Load()
	h.keep(sh.enc, r.JSON())
	if !sh.collated {
		h.keepRow(sh.layout, r)
	}
	h.holders.add(v)
}

// release notes that the binding does not hold the row any more.
func (p *pool) release(v *publisher, key driver.Key) {
	if h := p.held[key]; h != nil && h.holders.remove(v) {
		delete(p.held, key)
	}
}

// share makes the candidate, which was read for bindings that begin, the row
// that others hold already, when it is the same.
func (p *pool) share(c *candidate) {
	if h := p.held[c.key]; h != nil && reflect.DeepEqual(h.row, c.row) {
		*c = h.candidate
	}
}

// concerned calls visit for each binding that the key's row may concern, some
// of them perhaps twice: those whose filter the row (nil: there is none) may
// meet, and those that hold the row of that key.
func (p *pool) concerned(key driver.Key, row any, visit func(*publisher)) {
	if p.held == nil {
		for v := range p.known {
			visit(v)
		}
		return
	}
	if row != nil {
		p.index.Match(func(column int) value.Value { return p.read.value(row, column) }, visit)
	}
	if h := p.held[key]; h != nil {
		h.holders.each(visit)
	}
}

// has reports whether the binding was taken up.
func (p *pool) has(v *publisher) bool {
	if _, ok := p.known[v]; ok {
		return true
	}
	_, ok := p.others[v]
	return ok
}

// moved takes note of a transition that was published; from is what the binding
// held before.
func (p *pool) moved(from holding, t *transition) {
	if p.shown != nil && p.has(t.v) {
		p.shown.moved(from, t)
	}
	if _, ok := p.known[t.v]; !ok || p.held == nil {
		return
	}
	if t.anew {
		from.all(func(r live.Row) { p.release(t.v, r.Key()) })
		t.v.holding().all(func(r live.Row) { p.hold(t.v, r) })
		return
	}
	if t.window != nil {
		for _, key := range t.order {
			if r := t.held(key); !r.IsZero() {
				p.hold(t.v, r)
			} else {
				p.release(t.v, key)
			}
		}
		return
	}
	e := t.edit.Event()
	for _, r := range e.Deleted {
		p.release(t.v, r.Key())
	}
	for _, r := range e.Created {
		p.hold(t.v, r)
	}
	for _, r := range e.Updated {
		p.hold(t.v, r)
	}
}

// bySeq orders bindings as they came.
func bySeq(a, b *publisher) int { return cmp.Compare(a.seq, b.seq) }

// inOrder returns the bindings of a set as they came.
func inOrder(views map[*publisher]struct{}) []*publisher {
	return slices.SortedFunc(maps.Keys(views), bySeq)
}

// holders is a set of bindings, small as long as they are few.
type holders struct {
	few  []*publisher
	many map[*publisher]struct{}
}

// maxFewHolders is the number beyond which holders are hashed.
const maxFewHolders = 8

func (h *holders) add(v *publisher) {
	if h.many != nil {
		h.many[v] = struct{}{}
		return
	}
	if slices.Contains(h.few, v) {
		return
	}
	if h.few = append(h.few, v); len(h.few) > maxFewHolders {
		h.many = make(map[*publisher]struct{}, 2*maxFewHolders)
		for _, v := range h.few {
			h.many[v] = struct{}{}
		}
		h.few = nil
	}
}

func (h *holders) remove(v *publisher) (empty bool) {
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

func (h *holders) each(visit func(*publisher)) {
	for _, v := range h.few {
		visit(v)
	}
	for v := range h.many {
		visit(v)
	}
}
