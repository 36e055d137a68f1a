package core

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/binderyhq/bindery/core/internal/assembly"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
)

// catalog holds the declared bindings of a registry. Bindings can be found by name from
// open on. After close none is added or removed.
type catalog struct {
	mu      sync.Mutex // guards what follows
	list    []*binding // in order of registration; never modified in place once open
	byName  map[string]*binding
	removed []*family // removed bindings whose OnChange functions may still run
	closed  bool
}

// declare adds bindings before Start.
func (c *catalog) declare(bindings ...*binding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, bindings...)
}

// open lets bindings be found, after it has called attach with them. The error is
// [live.ErrClosed].
func (c *catalog) open(attach func([]*binding)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return live.ErrClosed
	}
	c.byName = make(map[string]*binding, len(c.list))
	for _, v := range c.list {
		c.byName[v.Name()] = v
	}
	attach(c.list)
	return nil
}

// add adds bindings to an open catalog, after it has called attach with them. It adds none
// when a name is taken, or when the catalog is closed.
func (c *catalog) add(bindings []*binding, attach func([]*binding)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return live.ErrClosed
	}
	var errs []error
	for _, v := range bindings {
		if other := c.byName[v.Name()]; other != nil {
			errs = append(errs, assembly.SameName(other.Member, v.Member))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, v := range bindings {
		c.byName[v.Name()] = v
	}
	c.list = slices.Concat(c.list, bindings)
	attach(bindings)
	return nil
}

// remove takes out the binding or family with that name, and returns it.
func (c *catalog) remove(name string) (*binding, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.byName[name]
	switch {
	case c.closed:
		return nil, live.ErrClosed
	case v == nil:
		return nil, fmt.Errorf("core: binding %q: %w (there are: %s)", name, ErrUnknownBinding, c.namesLocked())
	}
	delete(c.byName, name)
	c.list = slices.DeleteFunc(slices.Clone(c.list), func(o *binding) bool { return o == v })
	c.removed = append(slices.DeleteFunc(c.removed, func(f *family) bool { return !f.watchers.Running() }), v.family)
	return v, nil
}

func (c *catalog) namesLocked() string {
	if len(c.list) == 0 {
		return "none"
	}
	names := make([]string, len(c.list))
	for i, v := range c.list {
		names[i] = v.Name()
	}
	return strings.Join(names, ", ")
}

// close keeps the catalog as it is.
func (c *catalog) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

// named returns the binding or family with that name, nil for none.
func (c *catalog) named(name string) *binding {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byName[name]
}

// declared returns the bindings and families in order of registration. Do not modify the
// slice.
func (c *catalog) declared() []*binding {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clip(c.list)
}

// left returns the removed bindings whose OnChange functions may still run.
func (c *catalog) left() []*family {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.removed)
}

// living returns all bindings that have rows: those declared, each followed by its members.
func (c *catalog) living() []*binding {
	declared := c.declared()
	all := make([]*binding, 0, len(declared))
	for _, v := range declared {
		if !v.Spec.Family {
			all = append(all, v)
		}
		all = append(all, v.family.alive()...)
	}
	return all
}

// of returns the binding of the view, nil for none.
func (c *catalog) of(v *live.View) *binding {
	declared := c.named(v.Name())
	switch {
	case declared == nil:
		return nil
	case declared.View == v && !declared.Spec.Family:
		return declared
	}
	for _, m := range declared.family.alive() {
		if m.View == v {
			return m
		}
	}
	return nil
}

// chosen returns the bindings of the views, or all when the list is empty. The error wraps
// [ErrUnknownBinding].
func (c *catalog) chosen(views []*live.View) ([]*binding, error) {
	if len(views) == 0 {
		return c.living(), nil
	}
	found := make([]*binding, len(views))
	for i, v := range views {
		if found[i] = c.of(v); found[i] == nil {
			return nil, fmt.Errorf("core: binding %q: %w", v.ID(), ErrUnknownBinding)
		}
	}
	return found, nil
}

// members returns the rowset members of the bindings.
func members(bindings []*binding) []*rowset.Member {
	out := make([]*rowset.Member, len(bindings))
	for i, v := range bindings {
		out[i] = v.Member
	}
	return out
}
