package index

import (
	"cmp"

	"github.com/binderyhq/bindery/core/value"
)

// interval is the values from lo to hi, never NULL. It is comparable, and two
// intervals that are equal have equal bounds.
type interval struct{ lo, hi bound }

// everything contains all values but NULL.
var everything = interval{lo: bound{infinite: -1}, hi: bound{infinite: +1}}

func (i interval) empty() bool { return i.lo.compare(&i.hi) > 0 }

func (i interval) contains(v value.Value) bool {
	at := bound{value: v}
	return !v.IsNull() && i.lo.compare(&at) <= 0 && at.compare(&i.hi) <= 0
}

// and returns the values that both contain.
func (i interval) and(j interval) interval {
	if i.lo.compare(&j.lo) < 0 {
		i.lo = j.lo
	}
	if i.hi.compare(&j.hi) > 0 {
		i.hi = j.hi
	}
	return i
}

// compare orders by where the intervals begin, then by where they end.
func (i *interval) compare(j *interval) int {
	if c := i.lo.compare(&j.lo); c != 0 {
		return c
	}
	return i.hi.compare(&j.hi)
}

// bound is a place among the values: at a value, or right below or above it,
// so that "< 5" and "<= 5" end at different places, with 5 between them.
type bound struct {
	value    value.Value
	infinite int8 // -1 below, +1 above all values; value and side are then zero
	side     int8 // -1 below, +1 above value, 0 at it
}

func (b *bound) compare(c *bound) int {
	if b.infinite != c.infinite {
		return cmp.Compare(b.infinite, c.infinite)
	}
	if order := value.Compare(b.value, c.value); order != 0 {
		return order
	}
	return cmp.Compare(b.side, c.side)
}
