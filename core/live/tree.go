package live

// tree is an ordered set of entries: a B+ tree that holds nothing but pointers to
// them. Many trees hold the same entries, one for each member of a family and for
// each version that somebody still reads, so what an entry takes in a tree is what
// counts: 8 bytes, and a quarter more where entries came in another order than the
// tree's. The entries themselves know where they stand.
//
// Copy costs nothing. Copies share their nodes, and a tree that is changed copies
// those on the way to the change first, unless it has made them itself. So a
// published tree, which nobody changes, may be read by any number of goroutines.
type tree struct {
	root  *treeNode // nil: empty
	owner *treeOwner
	// byPlace orders the entries by their places; otherwise by their keys.
	byPlace bool
	// scattered says that entries did not come in the tree's order, so that nodes
	// have room to spare.
	scattered bool
}

// treeOwner tells the nodes that a tree has made from those that it shares.
type treeOwner struct{ _ byte }

// The largest nodes. Leaves decide how much memory a tree takes, inner nodes what
// the copy of a path costs.
const (
	maxLeaf  = 64 // entries
	maxInner = 32 // children
)

// treeNode is a leaf, or a node with children.
type treeNode struct {
	owner   *treeOwner
	size    int       // entries in it and below
	entries []*entry  // of a leaf, in order
	inner   *treeFork // nil for a leaf
}

// treeFork is what a node with children has.
type treeFork struct {
	children []*treeNode
	// from[i] is not above any entry of children[i], and above all of children[i-1].
	// from[0] means nothing.
	from []string
}

// newTree returns an empty tree.
func newTree(byPlace bool) *tree { return &tree{owner: &treeOwner{}, byPlace: byPlace} }

// Copy returns a tree of the same entries, for one goroutine to change. Nobody may
// change the original afterwards.
func (t *tree) Copy() *tree {
	return &tree{root: t.root, owner: &treeOwner{}, byPlace: t.byPlace}
}

// Len returns the number of entries.
func (t *tree) Len() int {
	if t.root == nil {
		return 0
	}
	return t.root.size
}

// at returns where an entry stands in the tree's order.
func (t *tree) at(e *entry) string {
	if t.byPlace {
		return e.place
	}
	return string(e.key)
}

// Get returns the entry that stands at the key or place.
func (t *tree) Get(at string) (*entry, bool) {
	n := t.root
	if n == nil {
		return nil, false
	}
	for n.inner != nil {
		n = n.inner.children[n.inner.find(at)]
	}
	if i, ok := t.find(n, at); ok {
		return n.entries[i], true
	}
	return nil, false
}

// find returns the position of the child that an entry which stands there is in.
func (f *treeFork) find(at string) int {
	lo, hi := 0, len(f.from)-1 // the last of those that begin at it or before
	for lo < hi {
		if mid := (lo + hi + 1) / 2; f.from[mid] <= at {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}

// find returns the position in the leaf of the entry that stands there, or would.
func (t *tree) find(leaf *treeNode, at string) (int, bool) {
	lo, hi := 0, len(leaf.entries)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		switch here := t.at(leaf.entries[mid]); {
		case here == at:
			return mid, true
		case here < at:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return lo, false
}

// Min returns the first entry, nil when there is none.
func (t *tree) Min() *entry {
	n := t.root
	if n == nil {
		return nil
	}
	for n.inner != nil {
		n = n.inner.children[0]
	}
	return n.entries[0]
}

// Max returns the last entry, nil when there is none.
func (t *tree) Max() *entry {
	n := t.root
	if n == nil {
		return nil
	}
	for n.inner != nil {
		n = n.inner.children[len(n.inner.children)-1]
	}
	return n.entries[len(n.entries)-1]
}

// Scan calls visit for all entries in order, until it returns false.
func (t *tree) Scan(visit func(*entry) bool) {
	if t.root != nil {
		t.root.scan(0, visit)
	}
}

// ScanFrom is Scan from the entry at the position on, which is neither negative nor
// beyond the last.
func (t *tree) ScanFrom(position int, visit func(*entry) bool) {
	if t.root != nil {
		t.root.scan(position, visit)
	}
}

// scan visits the entries below after skipping some.
func (n *treeNode) scan(skip int, visit func(*entry) bool) bool {
	if n.inner == nil {
		for _, e := range n.entries[skip:] {
			if !visit(e) {
				return false
			}
		}
		return true
	}
	for _, c := range n.inner.children {
		if skip >= c.size {
			skip -= c.size
			continue
		}
		if !c.scan(skip, visit) {
			return false
		}
		skip = 0
	}
	return true
}
