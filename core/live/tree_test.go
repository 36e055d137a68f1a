package live

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
)

// check demands that the tree is well formed, and holds these entries in this order.
func (t *tree) check(want []*entry) error {
	depth := -1
	var below func(n *treeNode, level int, from, to string) (int, error)
	below = func(n *treeNode, level int, from, to string) (int, error) {
		if n.inner == nil {
			if depth == -1 {
				depth = level
			}
			if level != depth || len(n.entries) == 0 || len(n.entries) > maxLeaf || n.size != len(n.entries) {
				return 0, fmt.Errorf("a leaf of %d entries and size %d is at level %d, others at %d", len(n.entries), n.size, level, depth)
			}
			for _, e := range n.entries {
				if at := t.at(e); at < from || to != "" && at >= to {
					return 0, fmt.Errorf("%q lies between %q and %q", at, from, to)
				}
			}
			return n.size, nil
		}
		f, size := n.inner, 0
		if len(f.children) == 0 || len(f.children) > maxInner || len(f.from) != len(f.children) {
			return 0, fmt.Errorf("a node has %d children, and %d beginnings", len(f.children), len(f.from))
		}
		for i, c := range f.children {
			lo, hi := from, to
			if i > 0 {
				lo = f.from[i]
			}
			if i+1 < len(f.children) {
				hi = f.from[i+1]
			}
			n, err := below(c, level+1, lo, hi)
			if err != nil {
				return 0, err
			}
			size += n
		}
		if size != n.size {
			return 0, fmt.Errorf("a node has size %d and holds %d", n.size, size)
		}
		return size, nil
	}
	if t.root != nil {
		if _, err := below(t.root, 0, "", ""); err != nil {
			return err
		}
	}
	got := make([]*entry, 0, len(want))
	t.Scan(func(e *entry) bool { got = append(got, e); return true })
	if !slices.Equal(got, want) || t.Len() != len(want) {
		return fmt.Errorf("it holds %d entries (length %d), want %d", len(got), t.Len(), len(want))
	}
	return nil
}

// treeModel is a tree, and what it is to hold.
type treeModel struct {
	tree *tree
	want map[string]*entry
}

func (m treeModel) sorted() []*entry {
	all := make([]*entry, 0, len(m.want))
	for _, at := range slices.Sorted(maps.Keys(m.want)) {
		all = append(all, m.want[at])
	}
	return all
}

// TestTree compares a tree, and its copies of earlier, with maps.
func TestTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		byOrderKey := rapid.Bool().Draw(t, "by order key")
		now := treeModel{newTree(byOrderKey), map[string]*entry{}}
		var earlier []treeModel
		named := func(n int) *entry {
			at := fmt.Sprintf("%05d", n)
			if byOrderKey {
				return &entry{orderKey: at, key: driver.Key(strings.Repeat("x", n%3))}
			}
			return &entry{key: driver.Key(at)}
		}
		// Runs of entries in and out of order, so that there are several levels.
		run := func(t *rapid.T) (begin, n, step int) {
			return rapid.IntRange(0, 9000).Draw(t, "begin"), rapid.IntRange(1, 2500).Draw(t, "number"), rapid.SampledFrom([]int{1, -1, 7, 911}).Draw(t, "step")
		}
		each := func(t *rapid.T, do func(at string, e *entry)) {
			begin, n, step := run(t)
			for i := range n {
				e := named(((begin+i*step)%9000 + 9000) % 9000)
				do(now.tree.at(e), e)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				each(t, func(at string, e *entry) {
					if old := now.tree.Set(e); old != now.want[at] {
						t.Fatalf("Set of %q replaced %v, want %v", at, old, now.want[at])
					}
					now.want[at] = e
				})
			},
			"delete": func(t *rapid.T) {
				each(t, func(at string, _ *entry) {
					if old := now.tree.Delete(at); old != now.want[at] {
						t.Fatalf("Delete of %q returned %v, want %v", at, old, now.want[at])
					}
					delete(now.want, at)
				})
			},
			"copy": func(*rapid.T) {
				earlier = append(earlier, treeModel{now.tree, maps.Clone(now.want)})
				now.tree = now.tree.Copy()
			},
			"pack": func(*rapid.T) { now.tree.Pack() },
			"": func(t *rapid.T) {
				want := now.sorted()
				if err := now.tree.check(want); err != nil {
					t.Fatal(err)
				}
				var first, last *entry
				if len(want) > 0 {
					first, last = want[0], want[len(want)-1]
				}
				if now.tree.Min() != first || now.tree.Max() != last {
					t.Fatal("another entry is the first, or the last")
				}
				begin, n, step := run(t)
				for i := range min(n, 50) {
					at := now.tree.at(named(((begin+i*step)%9000 + 9000) % 9000))
					if e, ok := now.tree.Get(at); e != now.want[at] || ok != (e != nil) {
						t.Fatalf("Get of %q: %v, %v", at, e, ok)
					}
				}
				if len(want) > 0 {
					skip := begin % len(want)
					var got []*entry
					now.tree.ScanFrom(skip, func(e *entry) bool { got = append(got, e); return len(got) < n })
					if !slices.Equal(got, want[skip:min(skip+n, len(want))]) {
						t.Fatalf("from %d on there are %d other entries", skip, len(got))
					}
				}
			},
		})
		for _, m := range earlier {
			if err := m.tree.check(m.sorted()); err != nil {
				t.Fatal("a copy of earlier: ", err)
			}
		}
	})
}

// TestTreeIsSmall: what was put in order, or packed, fills its leaves.
func TestTreeIsSmall(t *testing.T) {
	const n = 10_000
	for _, step := range []int{1, 7919} {
		tr := newTree(false)
		for i := range n {
			tr.Set(&entry{key: driver.Key(fmt.Sprintf("%05d", i*step%n))})
		}
		tr.Pack()
		leaves, room := 0, 0
		var count func(*treeNode)
		count = func(n *treeNode) {
			if n.inner == nil {
				leaves++
				room += cap(n.entries)
				return
			}
			for _, c := range n.inner.children {
				count(c)
			}
		}
		count(tr.root)
		// On 32 bits the allocator has no size that fits a full leaf.
		if leaves > n/maxLeaf+1 || room > n+n/8 {
			t.Errorf("step %d: %d leaves with room for %d", step, leaves, room)
		}
	}
}
