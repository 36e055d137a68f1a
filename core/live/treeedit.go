package live

import "slices"

// Set inserts the entry, and returns the one that it replaces, nil for none.
func (t *tree) Set(e *entry) *entry {
	if t.root == nil {
		t.root = &treeNode{owner: t.owner, size: 1, entries: append(make([]*entry, 0, leafStep), e)}
		return nil
	}
	root, right, old := t.set(t.root, t.at(e), e)
	if t.root = root; right != nil {
		fork := &treeFork{children: make([]*treeNode, 0, 4), from: make([]string, 0, 4)}
		fork.children = append(fork.children, root, right)
		fork.from = append(fork.from, "", t.first(right))
		t.root = &treeNode{owner: t.owner, size: root.size + right.size, inner: fork}
	}
	return old
}

// set inserts the entry below the node. It returns the node or its replacement, and, if it
// had to be split, a second node to its right.
func (t *tree) set(n *treeNode, at string, e *entry) (node, right *treeNode, old *entry) {
	n = t.own(n)
	if n.inner == nil {
		i, found := len(n.entries), false
		if at <= t.at(n.entries[i-1]) {
			i, found = t.find(n, at)
		}
		if found {
			old = n.entries[i]
			n.entries[i] = e
			return n, nil, old
		}
		return n, t.insert(n, i, e), nil
	}
	i := n.inner.find(at)
	child, beside, old := t.set(n.inner.children[i], at, e)
	n.inner.children[i] = child
	if old == nil {
		n.size++
	}
	if beside != nil {
		right = t.fork(n, i+1, beside)
	}
	return n, right, old
}

// leafStep is the number of entries by which a leaf grows.
const leafStep = 8

// insert puts the entry into the leaf at the position. It splits a full leaf and returns
// the second half.
func (t *tree) insert(n *treeNode, i int, e *entry) (right *treeNode) {
	if len(n.entries) == maxLeaf {
		// When entries arrive in order, leave full leaves behind.
		cut := maxLeaf
		if i < maxLeaf {
			cut, t.scattered = maxLeaf/2, true
		}
		rest := n.entries[cut:]
		right = &treeNode{owner: t.owner, size: len(rest)}
		right.entries = append(make([]*entry, 0, roundUp(len(rest)+1)), rest...)
		clear(rest)
		n.entries, n.size = n.entries[:cut], cut
		if i >= cut {
			right.entries = slices.Insert(right.entries, i-cut, e)
			right.size++
			return right
		}
	}
	if len(n.entries) == cap(n.entries) {
		n.entries = append(make([]*entry, 0, len(n.entries)+leafStep), n.entries...)
	}
	n.entries = slices.Insert(n.entries, i, e)
	n.size++
	return right
}

func roundUp(n int) int { return (n + leafStep - 1) / leafStep * leafStep }

// fork puts a child into the node at the position. It splits a full node and returns the
// second half.
func (t *tree) fork(n *treeNode, i int, child *treeNode) (right *treeNode) {
	f := n.inner
	f.children = slices.Insert(f.children, i, child)
	f.from = slices.Insert(f.from, i, t.first(child))
	if len(f.children) <= maxInner {
		return nil
	}
	cut := len(f.children) / 2
	if i == len(f.children)-1 {
		cut = i
	}
	right = &treeNode{owner: t.owner, inner: &treeFork{children: slices.Clone(f.children[cut:]), from: slices.Clone(f.from[cut:])}}
	f.children, f.from = slices.Delete(f.children, cut, len(f.children)), slices.Delete(f.from, cut, len(f.from))
	for _, c := range right.inner.children {
		right.size += c.size
	}
	n.size -= right.size
	return right
}

// first returns the key or order key of the first entry below.
func (t *tree) first(n *treeNode) string {
	for n.inner != nil {
		n = n.inner.children[0]
	}
	return t.at(n.entries[0])
}

// own returns the node if this tree created it, or else a copy that this tree owns.
func (t *tree) own(n *treeNode) *treeNode {
	if n.owner == t.owner {
		return n
	}
	c := &treeNode{owner: t.owner, size: n.size}
	if n.inner == nil {
		c.entries = append(make([]*entry, 0, roundUp(len(n.entries))), n.entries...)
	} else {
		c.inner = &treeFork{children: slices.Clone(n.inner.children), from: slices.Clone(n.inner.from)}
	}
	return c
}

// Delete removes the entry with that key or order key, and returns it, nil for none.
func (t *tree) Delete(at string) *entry {
	old, ok := t.Get(at)
	if !ok {
		return nil
	}
	t.root = t.delete(t.root, at)
	if t.root.size == 0 {
		t.root = nil
		return old
	}
	for t.root.inner != nil && len(t.root.inner.children) == 1 {
		t.root = t.root.inner.children[0]
	}
	return old
}

// delete removes the entry below the node. It returns the node or its replacement.
func (t *tree) delete(n *treeNode, at string) *treeNode {
	n = t.own(n)
	n.size--
	if n.inner == nil {
		i, _ := t.find(n, at)
		n.entries = slices.Delete(n.entries, i, i+1)
		return n
	}
	i := n.inner.find(at)
	child := t.delete(n.inner.children[i], at)
	n.inner.children[i] = child
	switch f := n.inner; {
	case child.size == 0:
		f.children, f.from = slices.Delete(f.children, i, i+1), slices.Delete(f.from, i, i+1)
	case child.sparse() && len(f.children) > 1:
		t.join(f, max(i, 1)-1)
	}
	return n
}

// sparse reports whether the node should be joined with its neighbour.
func (n *treeNode) sparse() bool {
	if n.inner == nil {
		return len(n.entries) < maxLeaf/4
	}
	return len(n.inner.children) < maxInner/4
}

// join merges the children at the position and after it. When they do not fit into one
// node, it divides their content evenly.
func (t *tree) join(f *treeFork, i int) {
	a, b := t.own(f.children[i]), t.own(f.children[i+1])
	a.size, b.size = a.size+b.size, 0
	if a.inner == nil {
		all := slices.Concat(a.entries, b.entries)
		if len(all) <= maxLeaf {
			a.entries = all
		} else {
			cut := len(all) / 2
			a.entries, b.entries = slices.Clone(all[:cut]), slices.Clone(all[cut:])
			b.size = len(b.entries)
		}
	} else {
		b.inner.from[0] = f.from[i+1]
		children, from := slices.Concat(a.inner.children, b.inner.children), slices.Concat(a.inner.from, b.inner.from)
		if len(children) <= maxInner {
			a.inner.children, a.inner.from = children, from
		} else {
			cut := len(children) / 2
			a.inner.children, a.inner.from = slices.Clone(children[:cut]), slices.Clone(from[:cut])
			b.inner.children, b.inner.from = slices.Clone(children[cut:]), slices.Clone(from[cut:])
			for _, c := range b.inner.children {
				b.size += c.size
			}
		}
	}
	f.children[i] = a
	if b.size == 0 {
		f.children, f.from = slices.Delete(f.children, i+1, i+2), slices.Delete(f.from, i+1, i+2)
		return
	}
	a.size -= b.size
	f.children[i+1] = b
	if b.inner == nil {
		f.from[i+1] = t.at(b.entries[0])
	} else {
		f.from[i+1] = b.inner.from[0]
	}
}

// Pack makes the tree as small as possible. It takes as long as a Scan, and does nothing
// when entries arrived in order.
func (t *tree) Pack() {
	if !t.scattered {
		return
	}
	t.scattered = false
	var level []*treeNode
	var from []string
	all := make([]*entry, 0, maxLeaf)
	flush := func() {
		if len(all) > 0 {
			level = append(level, &treeNode{owner: t.owner, size: len(all), entries: slices.Clone(all)})
			from = append(from, t.at(all[0]))
			all = all[:0]
		}
	}
	t.Scan(func(e *entry) bool {
		if all = append(all, e); len(all) == maxLeaf {
			flush()
		}
		return true
	})
	flush()
	for len(level) > 1 {
		// Make nodes of equal size, so that none is sparse.
		parts := (len(level) + maxInner - 1) / maxInner
		above, aboveFrom := make([]*treeNode, 0, parts), make([]string, 0, parts)
		for i := range parts {
			lo, hi := i*len(level)/parts, (i+1)*len(level)/parts
			n := &treeNode{owner: t.owner, inner: &treeFork{children: slices.Clone(level[lo:hi]), from: slices.Clone(from[lo:hi])}}
			for _, c := range n.inner.children {
				n.size += c.size
			}
			above, aboveFrom = append(above, n), append(aboveFrom, from[lo])
		}
		level, from = above, aboveFrom
	}
	if len(level) == 1 {
		t.root = level[0]
	}
}
