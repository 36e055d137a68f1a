package live

// tree is an ordered set of entries: a B+ tree of pointers to them. Many trees hold the
// same entries, one for each member of a family and for each version still read, so the
// cost per entry and tree matters: 8 bytes, and a quarter more when entries did not arrive
// in the tree's order. Each entry stores its own key and order key.
//
// Copy takes constant time. Copies share nodes; a tree copies a shared node before it
// changes it. So any number of goroutines may read a published tree, which nobody changes.
type tree struct {
	root  *treeNode // nil: empty
	owner *treeOwner
	// byOrderKey orders the entries by their order keys; otherwise by their keys.
	byOrderKey bool
	// scattered says that entries did not arrive in the tree's order, so that nodes are not
	// full.
	scattered bool
}

// treeOwner distinguishes the nodes that a tree created from those that it shares.
type treeOwner struct{ _ byte }

// The largest nodes. The size of leaves determines a tree's memory, that of inner nodes the
// cost of copying a path.
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

// treeFork holds the children of an inner node.
type treeFork struct {
	children []*treeNode
	// from[i] is at or below every entry of children[i], and above all of children[i-1].
	// from[0] is unused.
	from []string
}

// newTree returns an empty tree.
func newTree(byOrderKey bool) *tree { return &tree{owner: &treeOwner{}, byOrderKey: byOrderKey} }

// Copy returns a tree of the same entries that one goroutine may change. The original must
// not change afterwards.
func (t *tree) Copy() *tree {
	return &tree{root: t.root, owner: &treeOwner{}, byOrderKey: t.byOrderKey}
}

// Len returns the number of entries.
func (t *tree) Len() int {
	if t.root == nil {
		return 0
	}
	return t.root.size
}

// at returns the key or order key by which the tree orders the entry.
func (t *tree) at(e *entry) string {
	if t.byOrderKey {
		return e.orderKey
	}
	return string(e.key)
}

// Get returns the entry at the key or order key.
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

// find returns the position of the child that holds an entry with that key or order key.
func (f *treeFork) find(at string) int {
	lo, hi := 0, len(f.from)-1 // the last child that begins at or before it
	for lo < hi {
		if mid := (lo + hi + 1) / 2; f.from[mid] <= at {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}

// find returns the position in the leaf where such an entry is, or belongs.
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

// ScanFrom is Scan starting at the position, which must be neither negative nor beyond the
// last entry.
func (t *tree) ScanFrom(position int, visit func(*entry) bool) {
	if t.root != nil {
		t.root.scan(position, visit)
	}
}

// scan visits the entries below the node, after skipping some.
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
