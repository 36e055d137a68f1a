package index

import (
	"hash/maphash"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// Index finds members by the rows that meet their expressions. It is not safe
// for concurrent use, not even [Index.Match] alone.
//
// Its memory follows the number of members, but maps keep their peak size until
// the family, or the index, is empty.
type Index[V comparable] struct {
	seed     maphash.Seed
	members  map[V]membership[V]
	families []*family[V] // those with entries
	bySign   map[string]*family[V]
	counts   [ways]int

	// For Match, by column position.
	generation uint64
	cells      []cell
}

// way is how a member is found: the most expensive way of its paths.
type way uint8

const (
	hashed way = iota
	ranged
	scanned
	ways
)

// membership is what to undo when a member is removed. A member that no row can
// meet has no entries.
type membership[V comparable] struct {
	first *entry[V]
	way   way
}

// entry is a member's place in one bucket. Most members have one.
type entry[V comparable] struct {
	member  V
	sibling *entry[V] // the member's next entry
	visited *uint64   // generation of the last Match; shared by siblings, nil without any

	family     *family[V]
	bucket     uint64   // in the family
	span       *node[V] // in the bucket, if the family has an interval
	prev, next *entry[V]
}

// cell is the value of a column in the row that is being matched.
type cell struct {
	generation uint64 // of the row
	value      value.Value
}

// New returns an empty index.
func New[V comparable]() *Index[V] {
	return &Index[V]{
		seed:    maphash.MakeSeed(),
		members: make(map[V]membership[V]),
		bySign:  make(map[string]*family[V]),
	}
}

// Add adds the member with its expression, or gives it another one if it is in
// the index already. A nil expression is true for every row.
//
// column returns the position and the kind of a column, as for
// [filter.Compile], and the same for all members. It is not retained, nor is e.
// An expression that does not compile is true for no row; the index then may
// visit its member nevertheless.
func (x *Index[V]) Add(v V, e filter.Expr, column func(name string) (position int, kind value.Kind, ok bool)) {
	x.Remove(v)
	accesses, way := accessesOf(pathsOf(e, column))
	m := membership[V]{way: way}
	var visited *uint64
	if len(accesses) > 1 || len(accesses) == 1 && accesses[0].size() > 1 {
		visited = new(uint64)
	}
	for _, a := range accesses {
		f := x.family(a.columns, a.ranged)
		x.eachKey(a.values, 0, func(bucket uint64) {
			m.first = &entry[V]{member: v, sibling: m.first, visited: visited, family: f, bucket: bucket}
			f.insert(m.first, a.span, x.seed)
		})
	}
	x.members[v] = m
	x.counts[way]++
}

// eachKey calls f with the bucket of every combination of the values.
func (x *Index[V]) eachKey(values [][]value.Value, hash uint64, f func(bucket uint64)) {
	if len(values) == 0 {
		f(hash)
		return
	}
	for _, v := range values[0] {
		x.eachKey(values[1:], x.hash(hash, v), f)
	}
}

// hash extends the hash of the values of the columns before.
func (x *Index[V]) hash(before uint64, v value.Value) uint64 {
	// Values are canonical, so those that are equal have equal hashes.
	return maphash.Comparable(x.seed, struct {
		before uint64
		v      value.Value
	}{before, v})
}

// Remove removes the member, if it is in the index.
func (x *Index[V]) Remove(v V) {
	m, ok := x.members[v]
	if !ok {
		return
	}
	for e := m.first; e != nil; e = e.sibling {
		e.family.remove(e)
		if e.family.entries == 0 {
			x.dropFamily(e.family)
		}
	}
	x.counts[m.way]--
	delete(x.members, v)
	if len(x.members) == 0 {
		x.members = make(map[V]membership[V]) // maps do not shrink
	}
}

// Match visits every member whose expression is true for the row, and maybe
// others, each once and in no particular order. get returns the row's value of
// the column at a position, in the column's kind; it is called at most once per
// column. visit and get must not use the index. Match does not allocate.
func (x *Index[V]) Match(get func(column int) value.Value, visit func(V)) {
	x.match(get, visit, false)
}

// MatchRestricted is Match without the members that every row visits, see
// [Index.Stats].
func (x *Index[V]) MatchRestricted(get func(column int) value.Value, visit func(V)) {
	x.match(get, visit, true)
}

func (x *Index[V]) match(get func(column int) value.Value, visit func(V), restricted bool) {
	x.generation++
	for _, f := range x.families {
		if restricted && f.ranged == none && len(f.columns) == 0 {
			continue
		}
		var bucket uint64
		for _, c := range f.columns {
			bucket = x.hash(bucket, x.cell(c, get))
		}
		if f.ranged == none {
			x.visitAll(f.lists[bucket], visit)
			continue
		}
		root := f.trees[bucket]
		if root == nil {
			continue
		}
		if v := x.cell(f.ranged, get); !v.IsNull() {
			x.stab(root, &bound{value: v}, visit)
		}
	}
	clear(x.cells) // keep no references to the row
}

func (x *Index[V]) cell(column int, get func(int) value.Value) value.Value {
	c := &x.cells[column]
	if c.generation != x.generation {
		c.value, c.generation = get(column), x.generation
	}
	return c.value
}

func (x *Index[V]) visitAll(first *entry[V], visit func(V)) {
	for e := first; e != nil; e = e.next {
		if e.visited != nil {
			if *e.visited == x.generation {
				continue
			}
			*e.visited = x.generation
		}
		visit(e.member)
	}
}

// stab visits the members whose interval contains the value.
func (x *Index[V]) stab(n *node[V], at *bound, visit func(V)) {
	for n != nil {
		if n.leftLast.compare(at) >= 0 {
			x.stab(n.left, at, visit)
		}
		if n.span.lo.compare(at) > 0 {
			return // then all to the right begin after it, too
		}
		if n.span.hi.compare(at) >= 0 {
			x.visitAll(n.first, visit)
		}
		if n.rightLast.compare(at) < 0 {
			return
		}
		n = n.right
	}
}

// Stats returns the number of members by the way they are found: by hashing alone,
// with an interval, or not at all, so that every row visits them. It counts each
// member once, by its most expensive path. A member that no row can meet counts
// as hashed.
func (x *Index[V]) Stats() (hashed, ranged, scanned int) {
	return x.counts[0], x.counts[1], x.counts[2]
}
