package index

import (
	"encoding/binary"
	"hash/maphash"
)

// none is the interval's column of a family without one.
const none = -1

// family is the entries of all paths that restrict the same columns.
type family[V comparable] struct {
	sign    string
	at      int   // in the index's list
	columns []int // restricted to values, ascending
	ranged  int   // the column restricted to an interval, or none
	entries int

	// By the hash of the values. A bucket is a list of entries or, if the family
	// has an interval, a tree; the map for the other kind is nil.
	lists map[uint64]*entry[V]
	trees map[uint64]*node[V]
}

// family returns the family of the columns, made on first use.
func (x *Index[V]) family(columns []int, ranged int) *family[V] {
	sign := signOf(columns, ranged)
	if f, ok := x.bySign[sign]; ok {
		return f
	}
	f := &family[V]{sign: sign, at: len(x.families), columns: columns, ranged: ranged}
	last := ranged
	if ranged == none {
		f.lists = make(map[uint64]*entry[V])
	} else {
		f.trees = make(map[uint64]*node[V])
	}
	if len(columns) > 0 {
		last = max(last, columns[len(columns)-1])
	}
	if missing := last + 1 - len(x.cells); missing > 0 {
		x.cells = append(x.cells, make([]cell, missing)...)
	}
	x.families = append(x.families, f)
	x.bySign[sign] = f
	return f
}

func signOf(columns []int, ranged int) string {
	b := binary.AppendVarint(nil, int64(ranged))
	for _, c := range columns {
		b = binary.AppendVarint(b, int64(c))
	}
	return string(b)
}

func (x *Index[V]) dropFamily(f *family[V]) {
	end := len(x.families) - 1
	moved := x.families[end]
	x.families[f.at], moved.at = moved, f.at
	x.families[end] = nil
	x.families = x.families[:end]
	delete(x.bySign, f.sign)
}

// insert puts the entry into its bucket, under the interval if the family has
// one. The seed is for the shape of the tree.
func (f *family[V]) insert(e *entry[V], span interval, seed maphash.Seed) {
	f.entries++
	if f.ranged == none {
		e.push(f.lists[e.bucket])
		f.lists[e.bucket] = e
		return
	}
	root := f.trees[e.bucket]
	n := root.find(&span)
	if n == nil {
		n = newNode[V](span, seed)
		f.trees[e.bucket] = root.insert(n)
	}
	e.push(n.first)
	n.first, e.span = e, n
}

// remove takes the entry out of its bucket, and drops what that leaves empty.
func (f *family[V]) remove(e *entry[V]) {
	f.entries--
	if e.next != nil {
		e.next.prev = e.prev
	}
	switch {
	case e.prev != nil:
		e.prev.next = e.next
	case f.ranged == none && e.next != nil:
		f.lists[e.bucket] = e.next
	case f.ranged == none:
		delete(f.lists, e.bucket)
	case e.next != nil:
		e.span.first = e.next
	default:
		if root := f.trees[e.bucket].remove(&e.span.span); root != nil {
			f.trees[e.bucket] = root
		} else {
			delete(f.trees, e.bucket)
		}
	}
}

// push puts the entry before the first of a list, which may be nil.
func (e *entry[V]) push(first *entry[V]) {
	e.next = first
	if first != nil {
		first.prev = e
	}
}
