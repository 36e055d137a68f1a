package index

import (
	"cmp"
	"slices"

	"github.com/binderyhq/bindery/core/value"
)

// maxEntries bounds what a member's expression is expanded to, in entries (and
// on the way, in paths): a list of values makes an entry for each, two lists
// one for each pair.
const maxEntries = 64

// access is how a path is found in the index: by the values of some of its
// columns, and by an interval of another.
type access struct {
	columns []int // ascending
	values  [][]value.Value
	ranged  int // column, or none
	span    interval
}

// size returns the number of entries that it takes.
func (a access) size() int {
	n := 1
	for _, vs := range a.values {
		n *= len(vs)
	}
	return n
}

// accessesOf returns how to find the member with these paths, and the most
// expensive way among them. If one path is true for every row, the others are
// useless.
func accessesOf(paths []path) ([]access, way) {
	accesses := make([]access, 0, len(paths))
	dearest := hashed
	for _, p := range paths {
		a := p.access(maxEntries / len(paths))
		switch {
		case a.ranged != none:
			dearest = max(dearest, ranged)
		case len(a.columns) == 0:
			return []access{a}, scanned
		}
		accesses = append(accesses, a)
	}
	return accesses, dearest
}

// access chooses what to search by. It uses lists of values together, the shortest
// first, as long as they make at most limit entries. A list that is too long
// serves as the interval that it spans, unless there is a better one.
func (p path) access(limit int) access {
	byLength := slices.Clone(p)
	slices.SortStableFunc(byLength, func(a, b restriction) int { return cmp.Compare(len(a.values), len(b.values)) })
	var used path
	a := access{ranged: none}
	best := 0
	for _, r := range byLength { // the intervals come first: they have no values
		span := r.span
		if r.values != nil {
			if len(r.values) <= limit {
				limit /= len(r.values)
				used = append(used, r)
				continue
			}
			span = hull(r.values)
		}
		if ends := span.ends(); ends > best {
			a.ranged, a.span, best = r.column, span, ends
		}
	}
	slices.SortFunc(used, func(a, b restriction) int { return cmp.Compare(a.column, b.column) })
	for _, r := range used {
		a.columns = append(a.columns, r.column)
		a.values = append(a.values, r.values)
	}
	return a
}

// hull returns the interval that the values span, or everything if NULL is
// among them, which is in no interval.
func hull(values []value.Value) interval {
	if values[0].IsNull() { // they are sorted
		return everything
	}
	return interval{lo: bound{value: values[0]}, hi: bound{value: values[len(values)-1]}}
}

// ends counts the ends that are not infinite: an interval with two is likely to
// hold fewer values.
func (i interval) ends() int {
	n := 0
	for _, b := range [...]bound{i.lo, i.hi} {
		if b.infinite == 0 {
			n++
		}
	}
	return n
}
