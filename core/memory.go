package core

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/internal/budget"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// What a member is taken to need, in bytes, before one of its family has loaded.
const firstMemberSize = 16 << 10

// Bodies that nobody has asked for in bodiesIdle are dropped; that is looked after
// every bodiesSweep.
const (
	bodiesIdle  = 30 * time.Second
	bodiesSweep = 10 * time.Second
)

// defaultBudget is the part of the machine's memory that a registry uses when
// nothing is said. Go's garbage collector lets the heap grow to twice what is in
// use, and the program needs memory of its own.
const defaultBudget = 3

func newBudget(cfg Config) *budget.Budget {
	limit := cfg.MemoryBudget
	if limit == 0 {
		limit = budget.Machine() / defaultBudget
	}
	return budget.New(limit, int(live.Kinds), int(live.Bodies), time.Now)
}

// account tells the budget what a binding keeps. Before the binding is part of a
// registry it keeps nothing.
type account struct {
	holder   atomic.Pointer[budget.Holder]
	reserved atomic.Int64 // for a member that has not loaded
	margin   int          // told of the margin; who publishes has it
}

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

// loaded takes the reservation off: from now on it is counted what there is.
func (a *account) loaded() { a.Add(live.Members, -int(a.reserved.Swap(0))) }

// joinBudget has the registry's budget count the binding, and reserves memory until
// it has loaded.
func (v *publisher) joinBudget(eng *engine, reserve int64, parties ...*budget.Party) {
	v.account.holder.Store(eng.budget.Join(v, parties...))
	v.account.reserved.Store(reserve)
	v.account.Add(live.Members, int(reserve))
}

// Evict implements [budget.Owner].
func (v *publisher) Evict() bool { return v.id != "" && v.family.members.Evict(v.id) }

// end ends the binding, and counts it no longer.
func (v *publisher) end(why error) {
	v.pub.End(why)
	v.account.loaded()
	v.marginIs(nil)
	if h := v.account.holder.Load(); h != nil {
		h.Leave()
	}
}

// marginIs counts the rows that are held and not shown.
func (v *publisher) marginIs(w *window) {
	v.marginMu.Lock()
	defer v.marginMu.Unlock()
	bytes := 0
	if w != nil && v.Err() == nil {
		bytes = w.bytes
	}
	v.account.Add(live.Margins, bytes-v.account.margin)
	v.account.margin = bytes
}

// admit counts a member that has just loaded. It returns false when there is no
// memory for it, and has then ended it.
func (v *publisher) admit() bool {
	v.account.loaded()
	if v.id == "" {
		return true // the program has declared it
	}
	h := v.account.holder.Load()
	size := &v.family.size
	size.Store((3*size.Load() + h.Own()) / 4)
	if b := v.family.eng.Load().budget; b.Over() {
		b.Refused()
		v.family.refuse(v)
		return false
	}
	return true
}

// parties are the scopes whose members' memory is counted together.
type parties struct {
	mu  sync.Mutex
	all map[string]*budget.Party // guarded by mu
}

// maxIdleParties is the number of scopes beyond which those that hold nothing are
// forgotten.
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

// WithClient returns a context that stands for one client, such as one connection:
// the members that are opened with it, or with contexts made from it, together take
// no more than a share of the memory, so that no client takes all. Transports call
// it once for each connection on which a client may open several members. A context
// that stands for a client already is returned as it is.
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

// memoryStatus returns what the registry's bindings keep.
func (e *engine) memoryStatus() status.Memory {
	c := e.budget.Counts()
	st := status.Memory{
		Limit: e.budget.Limit(), Total: e.budget.Total(), Bytes: make(map[string]int64, live.Kinds),
		Dropped: c.Dropped, Evicted: c.Evicted, Refused: c.Refused,
	}
	for k := range live.Kinds {
		st.Bytes[k.String()] = e.budget.Used(int(k))
	}
	return st
}

// sweep drops bodies that nobody has asked for lately, until ctx is done.
func (e *engine) sweep(ctx context.Context) {
	ticker := time.NewTicker(bodiesSweep)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			e.budget.Sweep(bodiesIdle)
		case <-ctx.Done():
			e.budget.Close()
			return
		}
	}
}
