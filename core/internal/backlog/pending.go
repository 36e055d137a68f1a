package backlog

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/binderyhq/bindery/core/driver"
)

// Reporter is who reports, so that what a report led to can be credited to it.
type Reporter struct {
	Found atomic.Uint64 // rows that were read to differ
}

// maxBytes bounds the keys of a Pending beside MaxKeys: a key may be long text.
const maxBytes = 16 << 20

// costOf estimates what a key takes in a map, in bytes.
func costOf(k driver.Key) int { return len(k) + 64 }

// SizeOf estimates what keys take in a map, in bytes.
func SizeOf(keys []driver.Key) (bytes int) {
	for _, k := range keys {
		bytes += costOf(k)
	}
	return bytes
}

// Pending gathers what sources have reported of one table and no read has
// covered yet. It holds keys up to a bound, and beyond it just "the whole
// table": then it costs no more memory however much is written. It remembers
// which source was the first to report each, so that a change can be credited
// to it. It has no lock of its own.
type Pending struct {
	MaxKeys int
	bytes   int // of Keys
	Keys    map[driver.Key]*Reporter
	Whole   bool
	WholeBy *Reporter
	Related map[driver.Table]*Pending // of tables whose rows are shown; these have none
}

// Add gathers keys; nil means the whole table. by is the source, nil for the
// engine itself. It reports whether that made the gathered keys overflow into a
// whole table.
func (p *Pending) Add(keys []driver.Key, by *Reporter) (overflowed bool) {
	switch {
	case p.Whole && keys == nil:
	case keys == nil:
		p.SetWhole(by)
	case p.Whole && len(p.Keys)+len(keys) > p.MaxKeys:
		// The keys would only tell who is to be credited.
	default:
		if p.Keys == nil {
			p.Keys = make(map[driver.Key]*Reporter, len(keys))
		}
		for _, k := range keys {
			if _, ok := p.Keys[k]; !ok {
				p.Keys[k] = by
				p.bytes += costOf(k)
			}
		}
		if len(p.Keys) > p.MaxKeys || p.bytes > maxBytes {
			p.SetWhole(by)
			p.Keys, p.bytes = nil, 0
			return true
		}
	}
	return false
}

func (p *Pending) SetWhole(by *Reporter) {
	if !p.Whole {
		p.Whole, p.WholeBy = true, by
	}
}

// AddRelated gathers keys of a table whose rows are shown, as add does.
func (p *Pending) AddRelated(table driver.Table, keys []driver.Key, by *Reporter) (overflowed bool) {
	return p.relatedTo(table).Add(keys, by)
}

func (p *Pending) relatedTo(table driver.Table) *Pending {
	r := p.Related[table]
	if r == nil {
		r = &Pending{MaxKeys: p.MaxKeys}
		if p.Related == nil {
			p.Related = make(map[driver.Table]*Pending)
		}
		p.Related[table] = r
	}
	return r
}

func (p *Pending) Empty() bool {
	if p.Whole || len(p.Keys) > 0 {
		return false
	}
	for _, r := range p.Related {
		if !r.Empty() {
			return false
		}
	}
	return true
}

// Size estimates how many bytes the keys take, those of related tables included.
func (p *Pending) Size() int {
	n := p.bytes
	for _, r := range p.Related {
		n += r.Size()
	}
	return n
}

// Take returns what was gathered and leaves nothing.
func (p *Pending) Take() Pending {
	taken := *p
	p.Keys, p.bytes, p.Whole, p.WholeBy, p.Related = nil, 0, false, nil, nil
	return taken
}

// Merge adds what another has gathered.
func (p *Pending) Merge(o Pending) {
	if o.Whole {
		p.SetWhole(o.WholeBy)
	}
	for k, by := range o.Keys {
		p.Add([]driver.Key{k}, by)
	}
	for table, r := range o.Related {
		p.relatedTo(table).Merge(*r)
	}
}

// Sorted returns the keys in order, so that events do not depend on chance.
func (p *Pending) Sorted() []driver.Key { return slices.Sorted(maps.Keys(p.Keys)) }

// Credited returns the source that was the first to report the key, nil when it
// was the engine, or is not known.
func (p *Pending) Credited(k driver.Key) *Reporter {
	if by, ok := p.Keys[k]; ok {
		return by
	}
	return p.WholeBy
}

// OnlySource returns the source that reported all keys, nil when several did.
func (p *Pending) OnlySource() *Reporter {
	var only *Reporter
	first := true
	for _, by := range p.Keys {
		if !first && by != only {
			return nil
		}
		only, first = by, false
	}
	return only
}

// HasAny reports whether one of the rows is pending.
func (p *Pending) HasAny(rows *RowFailures) bool {
	if rows == nil {
		return false
	}
	for k := range rows.Errs {
		if _, ok := p.Keys[k]; ok {
			return true
		}
	}
	return false
}
