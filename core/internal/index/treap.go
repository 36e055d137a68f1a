package index

import "hash/maphash"

// The intervals of a bucket are in a treap: a search tree by the intervals'
// order, and a heap by random weights, which keep it balanced in the mean
// whatever is inserted and removed (R. Seidel, C. Aragon: Randomized Search
// Trees, Algorithmica 16, 1996). Weights are hashes of the intervals, as the
// paper suggests, so the shape depends on the content alone. Each node also
// knows where the last interval of either subtree ends, which makes it an
// interval tree (T. Cormen, C. Leiserson, R. Rivest, C. Stein: Introduction to
// Algorithms, chapter on augmenting data structures). The book keeps that in the
// root of the subtree; here it is in the parent, so that a subtree in which
// nothing can be found costs no cache miss.

// node is an interval, and the entries that have it. A nil node is an empty
// tree.
type node[V comparable] struct {
	span                interval
	leftLast, rightLast bound    // the greatest hi of either subtree
	left, right         *node[V] // of lesser weight
	weight              uint64
	first               *entry[V]
}

func newNode[V comparable](span interval, seed maphash.Seed) *node[V] {
	n := &node[V]{span: span, weight: maphash.Comparable(seed, span)}
	n.update()
	return n
}

// find returns the node of the interval, or nil.
func (n *node[V]) find(span *interval) *node[V] {
	for n != nil {
		switch c := span.compare(&n.span); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return n
		}
	}
	return nil
}

// insert adds a single node, whose interval is not in the tree, and returns the
// root.
func (n *node[V]) insert(single *node[V]) *node[V] {
	if n == nil {
		return single
	}
	if single.weight > n.weight {
		single.left, single.right = n.split(&single.span)
		single.update()
		return single
	}
	if single.span.compare(&n.span) < 0 {
		n.left = n.left.insert(single)
	} else {
		n.right = n.right.insert(single)
	}
	n.update()
	return n
}

// remove takes the node of the interval, which is in the tree, out of it, and
// returns the root.
func (n *node[V]) remove(span *interval) *node[V] {
	switch c := span.compare(&n.span); {
	case c < 0:
		n.left = n.left.remove(span)
	case c > 0:
		n.right = n.right.remove(span)
	default:
		return n.left.join(n.right)
	}
	n.update()
	return n
}

// split divides the tree into what comes before and after the interval.
func (n *node[V]) split(span *interval) (before, after *node[V]) {
	if n == nil {
		return nil, nil
	}
	if n.span.compare(span) < 0 {
		n.right, after = n.right.split(span)
		n.update()
		return n, after
	}
	before, n.left = n.left.split(span)
	n.update()
	return before, n
}

// join makes one tree of two, of which all of the second come after all of the
// first.
func (n *node[V]) join(after *node[V]) *node[V] {
	switch {
	case n == nil:
		return after
	case after == nil:
		return n
	case n.weight > after.weight:
		n.right = n.right.join(after)
		n.update()
		return n
	default:
		after.left = n.join(after.left)
		after.update()
		return after
	}
}

// update sets what the node knows of its children after these have changed.
func (n *node[V]) update() {
	n.leftLast, n.rightLast = n.left.last(), n.right.last()
}

// last returns the greatest hi of the tree, which is below all values if the
// tree is empty.
func (n *node[V]) last() bound {
	if n == nil {
		return bound{infinite: -1}
	}
	last := n.span.hi
	for _, b := range [...]*bound{&n.leftLast, &n.rightLast} {
		if b.compare(&last) > 0 {
			last = *b
		}
	}
	return last
}
