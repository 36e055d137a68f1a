package backlog

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/binderyhq/bindery/core/driver"
)

// Reporter identifies a source, so that changes can be credited to it.
type Reporter struct {
	Found atomic.Uint64 // changed rows that it was the first to report
}

// maxBytes bounds the bytes of the keys in a Pending or a Journal: a key may be long text.
const maxBytes = 16 << 20

// costOf estimates the bytes that a key takes in a map.
func costOf(k driver.Key) int { return len(k) + 64 }

// SizeOf estimates the bytes that keys take in a map.
func SizeOf(keys []driver.Key) (bytes int) {
	for _, k := range keys {
		bytes += costOf(k)
	}
	return bytes
}

// Pending gathers the reports on one table that no read has covered yet. Beyond MaxKeys
// keys it only notes "the whole table", so its memory is bounded however much is written.
// It remembers which source reported each key first. It has no lock.
type Pending struct {
	MaxKeys int
	bytes   int // of Keys
	Keys    map[driver.Key]*Reporter
	Whole   bool
	WholeBy *Reporter
	Related map[driver.Table]*Pending // for related tables; these have no Related
}

// Add adds keys; nil means the whole table. by is the source, nil for the engine itself. Add
// reports whether the keys overflowed, so that the whole table is now pending.
func (p *Pending) Add(keys []driver.Key, by *Reporter) (overflowed bool) {
	switch {
	case p.Whole && keys == nil:
	case keys == nil:
		p.SetWhole(by)
	case p.Whole && len(p.Keys)+len(keys) > p.MaxKeys:
		// Too many; they would only say which source to credit.
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

// SetWhole makes the whole table pending.
func (p *Pending) SetWhole(by *Reporter) {
	if !p.Whole {
		p.Whole, p.WholeBy = true, by
	}
}

// AddRelated is [Pending.Add] for a related table.
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

// Empty reports whether nothing is pending, not even for related tables.
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

// Size estimates the size of the keys in bytes, including those of related tables.
func (p *Pending) Size() int {
	n := p.bytes
	for _, r := range p.Related {
		n += r.Size()
	}
	return n
}

// Take returns everything pending, and empties p.
func (p *Pending) Take() Pending {
	taken := *p
	p.Keys, p.bytes, p.Whole, p.WholeBy, p.Related = nil, 0, false, nil, nil
	return taken
}

// Merge adds everything pending in another.
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

// Sorted returns the keys in order, so that events are deterministic.
func (p *Pending) Sorted() []driver.Key { return slices.Sorted(maps.Keys(p.Keys)) }

// Credited returns the source that reported the key first, nil if it was the engine or is
// not known.
func (p *Pending) Credited(k driver.Key) *Reporter {
	if by, ok := p.Keys[k]; ok {
		return by
	}
	return p.WholeBy
}

// OnlySource returns the source that reported all keys, nil if several did.
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

// Reports reports whether a source has reported one of the rows: not only the engine, which
// reads rows again on its own account.
func (p *Pending) Reports(rows *RowFailures) bool {
	if rows == nil {
		return false
	}
	if p.Whole && p.WholeBy != nil {
		return true
	}
	for k := range rows.Errs {
		if p.Keys[k] != nil {
			return true
		}
	}
	return false
}

// HasAny reports whether the key of one of the rows is pending.
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
