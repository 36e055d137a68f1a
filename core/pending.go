package core

import (
	"maps"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
)

// pending gathers what sources have reported of one table and no read has
// covered yet. It holds keys up to a bound, and beyond it just "the whole
// table": then it costs no more memory however much is written. It remembers
// which source was the first to report each, so that a change can be credited
// to it. It has no lock of its own.
type pending struct {
	maxKeys int
	keys    map[driver.Key]*sourceRun
	whole   bool
	wholeBy *sourceRun
	related map[driver.Table]*pending // of tables whose rows are shown; these have none
}

// add gathers keys; nil means the whole table. by is the source, nil for the
// engine itself. It reports whether that made the gathered keys overflow into a
// whole table.
func (p *pending) add(keys []driver.Key, by *sourceRun) (overflowed bool) {
	switch {
	case p.whole && keys == nil:
	case keys == nil:
		p.setWhole(by)
	case p.whole && len(p.keys)+len(keys) > p.maxKeys:
		// The keys would only tell who is to be credited.
	default:
		if p.keys == nil {
			p.keys = make(map[driver.Key]*sourceRun, len(keys))
		}
		for _, k := range keys {
			if _, ok := p.keys[k]; !ok {
				p.keys[k] = by
			}
		}
		if len(p.keys) > p.maxKeys {
			p.setWhole(by)
			p.keys = nil
			return true
		}
	}
	return false
}

func (p *pending) setWhole(by *sourceRun) {
	if !p.whole {
		p.whole, p.wholeBy = true, by
	}
}

// addRelated gathers keys of a table whose rows are shown, as add does.
func (p *pending) addRelated(table driver.Table, keys []driver.Key, by *sourceRun) (overflowed bool) {
	return p.relatedTo(table).add(keys, by)
}

func (p *pending) relatedTo(table driver.Table) *pending {
	r := p.related[table]
	if r == nil {
		r = &pending{maxKeys: p.maxKeys}
		if p.related == nil {
			p.related = make(map[driver.Table]*pending)
		}
		p.related[table] = r
	}
	return r
}

func (p *pending) empty() bool {
	if p.whole || len(p.keys) > 0 {
		return false
	}
	for _, r := range p.related {
		if !r.empty() {
			return false
		}
	}
	return true
}

// take returns what was gathered and leaves nothing.
func (p *pending) take() pending {
	taken := *p
	p.keys, p.whole, p.wholeBy, p.related = nil, false, nil, nil
	return taken
}

// merge adds what another has gathered.
func (p *pending) merge(o pending) {
	if o.whole {
		p.setWhole(o.wholeBy)
	}
	for k, by := range o.keys {
		p.add([]driver.Key{k}, by)
	}
	for table, r := range o.related {
		p.relatedTo(table).merge(*r)
	}
}

// sorted returns the keys in order, so that events do not depend on chance.
func (p *pending) sorted() []driver.Key { return slices.Sorted(maps.Keys(p.keys)) }

// credited returns the source that was the first to report the key, nil when it
// was the engine, or is not known.
func (p *pending) credited(k driver.Key) *sourceRun {
	if by, ok := p.keys[k]; ok {
		return by
	}
	return p.wholeBy
}
