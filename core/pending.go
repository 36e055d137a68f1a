package core

import (
	"maps"
	"slices"
)

// pending gathers what sources have reported of one table and no read has
// covered yet. It holds keys up to a bound, and beyond it just "the whole
// table": then it costs no more memory however much is written. It has no lock
// of its own.
type pending struct {
	maxKeys int
	keys    map[Key]struct{}
	whole   bool
}

// add gathers keys; nil means the whole table. It reports whether that made the
// gathered keys overflow into a whole table.
func (p *pending) add(keys []Key) (overflowed bool) {
	switch {
	case p.whole:
	case keys == nil:
		p.setWhole()
	default:
		if p.keys == nil {
			p.keys = make(map[Key]struct{}, len(keys))
		}
		for _, k := range keys {
			p.keys[k] = struct{}{}
		}
		if len(p.keys) > p.maxKeys {
			p.setWhole()
			return true
		}
	}
	return false
}

func (p *pending) setWhole() { p.whole, p.keys = true, nil }

func (p *pending) empty() bool { return !p.whole && len(p.keys) == 0 }

// take returns what was gathered and leaves nothing.
func (p *pending) take() pending {
	taken := *p
	p.keys, p.whole = nil, false
	return taken
}

// merge adds what another has gathered.
func (p *pending) merge(o pending) {
	if o.whole {
		p.setWhole()
	}
	if len(o.keys) > 0 && !p.whole {
		p.add(slices.Collect(maps.Keys(o.keys)))
	}
}

// sorted returns the keys in order, so that events do not depend on chance.
func (p *pending) sorted() []Key { return slices.Sorted(maps.Keys(p.keys)) }
