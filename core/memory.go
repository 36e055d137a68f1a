package core

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/internal/budget"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
)

// firstMemberSize is the estimated size of a member, in bytes, until one of its family has
// loaded.
const firstMemberSize = 16 << 10

// firstMemberRows is the estimated number of a member's rows until one of its family has
// loaded.
const firstMemberRows = 1000

// Every bodiesSweep the registry drops bodies that nobody has used for bodiesIdle.
const (
	bodiesIdle  = 30 * time.Second
	bodiesSweep = 10 * time.Second
)

// By default a registry uses one part in defaultBudget of the machine's memory. Go's
// garbage collector lets the heap grow to twice the live memory, and the program needs
// memory of its own.
const defaultBudget = 3

func newBudget(cfg Config) *budget.Budget {
	limit := cfg.MemoryBudget
	if limit == 0 {
		limit = budget.Machine() / defaultBudget
	}
	return budget.New(limit, int(live.Kinds), int(live.Bodies), time.Now)
}

// account counts a binding's memory in the budget, once the binding belongs to a registry.
type account struct {
	v        *binding
	holder   atomic.Pointer[budget.Holder]
	reserved atomic.Int64 // for a member that has not loaded yet

	mu     sync.Mutex // guards the fields below
	margin int        // bytes added for the margin
	closed bool
}

var _ rowset.Keeper = (*account)(nil)

// Add implements [live.Account].
func (a *account) Add(kind live.Kind, bytes int) {
	if h := a.holder.Load(); h != nil {
		h.Add(int(kind), bytes, kind == live.Rows || kind == live.Encodings)
	}
}

// Looked implements [live.Account].
func (a *account) Looked() {
	if h := a.holder.Load(); h != nil {
		h.Looked()
	}
}

// Margin implements [rowset.Keeper].
func (a *account) Margin(bytes int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.Add(live.Margins, bytes-a.margin)
	a.margin = bytes
}

// Expected implements [rowset.Keeper].
func (a *account) Expected() int { return int(a.v.family.rows.Load()) }

// Loaded implements [rowset.Keeper]: it replaces the member's reservation by its real size,
// and ends a member for which there is no memory.
func (a *account) Loaded() bool {
	a.unreserve()
	if a.v.Base == nil {
		return true // declared bindings are never refused
	}
	fam := a.v.family
	fam.rows.Store((3*fam.rows.Load() + int64(a.v.Len())) / 4)
	if h := a.holder.Load(); h != nil {
		fam.size.Store((3*fam.size.Load() + h.Own()) / 4)
	}
	if b := fam.shared.Load().budget; b.Over() {
		b.Refused()
		fam.refuse(a.v)
		return false
	}
	return true
}

func (a *account) unreserve() { a.Add(live.Members, -int(a.reserved.Swap(0))) }

// close removes an ended binding from the budget.
func (a *account) close() {
	a.unreserve()
	a.mu.Lock()
	a.Add(live.Margins, -a.margin)
	a.margin, a.closed = 0, true
	a.mu.Unlock()
	if h := a.holder.Load(); h != nil {
		h.Leave()
	}
}

// joinBudget adds the binding to the registry's budget, and reserves memory until it has
// loaded.
func (v *binding) joinBudget(s *shared, reserve int64, parties ...*budget.Party) {
	v.account.holder.Store(s.budget.Join(v, parties...))
	v.account.reserved.Store(reserve)
	v.account.Add(live.Members, int(reserve))
}

// Evict implements [budget.Owner].
func (v *binding) Evict() bool { return v.Base != nil && v.family.members.Evict(v.id) }

// end ends the binding and removes it from the budget.
func (v *binding) end(why error) {
	v.Publisher.End(why)
	v.account.close()
}

// parties holds a budget party for each scope, so that all members of a tenant count
// together.
type parties struct {
	mu  sync.Mutex
	all map[string]*budget.Party // guarded by mu
}

// maxIdleParties is the number of scopes beyond which those without memory are dropped.
const maxIdleParties = 1024

// of returns the party of a scope, nil for none.
func (p *parties) of(scope string) *budget.Party {
	if scope == "" {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.all[scope]
	if one != nil {
		return one
	}
	if len(p.all) >= p.bound() {
		for name, other := range p.all {
			if other.Used() == 0 {
				delete(p.all, name)
			}
		}
	}
	if p.all == nil {
		p.all = make(map[string]*budget.Party)
	}
	one = &budget.Party{}
	p.all[scope] = one
	return one
}

func (p *parties) bound() int { return maxIdleParties }

type clientKey struct{}

// WithClient returns a context that stands for one client, such as one connection. The
// members opened with it, or with contexts derived from it, may together use only a share
// of the memory, so that no client takes it all. Transports call it once for each
// connection on which a client may open several members. A context that already stands for
// a client is returned unchanged.
func WithClient(ctx context.Context) context.Context {
	if clientOf(ctx) != nil {
		return ctx
	}
	return context.WithValue(ctx, clientKey{}, &budget.Party{})
}

func clientOf(ctx context.Context) *budget.Party {
	p, _ := ctx.Value(clientKey{}).(*budget.Party)
	return p
}
