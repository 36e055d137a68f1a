package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/budget"
	"github.com/binderyhq/bindery/core/internal/lease"
	"github.com/binderyhq/bindery/core/internal/replication"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/signal"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// family holds everything made from one declaration: the binding itself, and its members,
// one for each set of parameters and scope.
type family struct {
	proto    *binding              // the declaration; the binding itself unless there are parameters
	whole    memberLease           // of the binding itself
	grant    atomic.Pointer[Grant] // of the binding itself, shared by all
	watchers signal.Group          // OnChange functions of all bindings

	shared  atomic.Pointer[shared] // nil until Start
	members *lease.Pool[string, *binding]
	refused atomic.Uint64 // members refused by the budget
	size    atomic.Int64  // of members that loaded lately, in bytes: a moving average
	rows    atomic.Int64  // of members that loaded lately: a moving average
}

// memberLease keeps a member alive until it is released. For the binding itself, without
// parameters and scope, release does nothing.
type memberLease struct {
	view  *binding
	lease *lease.Lease[string, *binding] // nil: the binding itself
}

// ofMember reports whether the lease is of a member, not of the binding itself.
func (l *memberLease) ofMember() bool { return l.lease != nil }

func (l *memberLease) release() {
	if l.lease != nil {
		l.lease.Release()
	}
}

func newFamily(proto *binding) *family {
	f := &family{proto: proto}
	f.whole = memberLease{view: proto}
	f.members = lease.New[string](lease.Config[*binding]{
		Max: f.max(), IdleAfter: f.idleAfter(),
		End: func(v *binding) {
			v.end(fmt.Errorf("core: binding %q: %w", v.ID(), live.ErrRemoved))
			v.rows.Leave()
			f.shared.Load().came.Tell()
		},
	})
	f.size.Store(firstMemberSize)
	f.rows.Store(firstMemberRows)
	return f
}

// askTimeout bounds how long the database is asked about an argument. After that the
// argument is accepted, and the caller waits for the member's rows instead.
const askTimeout = time.Second

// askAbout asks the database about arguments that only it can check, unless the member
// exists already. A database that does not answer refuses nothing.
func (f *family) askAbout(ctx context.Context, params live.Params, scope filter.Expr) error {
	sh := f.proto.Shape.Load()
	if len(params) == 0 || sh == nil {
		return nil
	}
	if f.members.Has(memberID(params, scope)) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for _, p := range sh.Params {
		for _, c := range p.Columns {
			if !c.Asked {
				continue
			}
			for _, v := range params.Values(p.Name) {
				detail, err := f.proto.Loader.CheckLiteral(ctx, c.Name, v)
				if err == nil && detail != "" {
					return &ArgumentError{Binding: f.proto.Name(), Param: p.Name, Detail: detail}
				}
			}
		}
	}
	return nil
}

// open returns a lease of the member with these parameters, confined to the scope if there
// is one. The member loads in the background. Its memory counts towards the shares of the
// tenant and of the context's client. tenant is the authorizer's scope as text, "" for
// none.
func (f *family) open(ctx context.Context, params live.Params, scope filter.Expr, tenant string) (*memberLease, error) {
	if !f.proto.Spec.Family && scope == nil {
		return &f.whole, nil
	}
	common := f.shared.Load()
	if common == nil {
		return nil, fmt.Errorf("core: binding %q: %w", f.proto.Name(), ErrNotStarted)
	}
	id := memberID(params, scope)
	parties := []*budget.Party{common.parties.of(tenant), clientOf(ctx)}
	if !f.members.Has(id) {
		if err := common.budget.Fit(f.size.Load(), parties...); err != nil {
			f.refused.Add(1)
			return nil, fmt.Errorf("core: binding %q: %w: %w", f.proto.Name(), ErrBudget, err)
		}
	}
	l, err := f.members.Open(id, tenant, func() (*binding, error) {
		v, err := f.newMember(params, scope)
		if err != nil {
			return nil, err
		}
		v.id = id
		v.joinBudget(common, f.size.Load(), parties...)
		v.rows.Begin()
		common.came.Tell()
		return v, nil
	})
	switch {
	case errors.Is(err, lease.ErrFull), errors.Is(err, lease.ErrShare):
		return nil, fmt.Errorf("core: binding %q: %w (%d): %w", f.proto.Name(), ErrTooManyMembers, f.max(), err)
	case err != nil:
		return nil, err
	}
	return &memberLease{view: l.Value, lease: l}, nil
}

// memberID returns a key that is unique among the members of a family.
func memberID(params live.Params, scope filter.Expr) string {
	var b []byte
	for _, p := range params { // optional ones may be missing
		b = append(append(b, p.Name...), 0)
		b = p.Value.AppendOrdered(b)
	}
	if scope != nil {
		b = append(append(b, 0xff), scope.String()...)
	}
	return string(b)
}

func (f *family) newMember(params live.Params, scope filter.Expr) (*binding, error) {
	v := newBinding(f.proto.Name(), params, f.proto.Loader, f.proto.Spec)
	v.family, v.Scope, v.Base = f, scope, f.proto.Member
	var err error
	if v.rows, err = f.proto.rows.Derive(v.Member, scope != nil, v.refusedByOrigin); err != nil {
		return nil, fmt.Errorf("core: binding %q: %w", f.proto.Name(), err)
	}
	if followed, ok := v.rows.(*replication.Replica); ok {
		followed.Rewinds = v.reached.Forget
	}
	v.Filter = filter.Bind(v.Filter, params.Values)
	if all, ok := v.Filter.(*filter.Conjunction); ok && len(all.Exprs) == 0 {
		v.Filter = nil // no condition is left
	}
	switch {
	case scope != nil && v.Filter != nil:
		v.Filter = filter.And(v.Filter, scope)
	case scope != nil:
		v.Filter = scope
	}
	if err := v.Refine(); err != nil {
		return nil, fmt.Errorf("core: %w", err)
	}
	return v, nil
}

func (f *family) max() int {
	if n := f.proto.Spec.MaxMembers; n > 0 {
		return n
	}
	return DefaultMaxMembers
}

func (f *family) idleAfter() time.Duration {
	if d := f.proto.Spec.IdleAfter; d > 0 {
		return d
	}
	return DefaultIdleAfter
}

// begin lets members be opened.
func (f *family) begin(s *shared) {
	f.shared.Store(s)
	s.came.Tell()
}

// end ends the binding and all members. No member can be opened afterwards.
func (f *family) end(why error) {
	f.proto.end(why)
	f.proto.rows.Leave()
	for _, v := range f.members.Close(why) {
		v.end(why)
		v.rows.Leave()
	}
	if s := f.shared.Load(); s != nil {
		s.came.Tell()
	}
}

// refuse ends a member because there is no memory for it.
func (f *family) refuse(v *binding) {
	f.refused.Add(1)
	f.members.Remove(v.id)
	v.end(fmt.Errorf("core: binding %q: %w", v.ID(), ErrBudget))
	v.rows.Leave()
	f.shared.Load().came.Tell()
}

// alive returns the existing members, in order of creation.
func (f *family) alive() []*binding {
	return slices.SortedFunc(slices.Values(f.members.All()), func(a, b *binding) int { return rowset.BySeq(a.Member, b.Member) })
}

func (f *family) status() status.Family {
	c := f.members.Counts()
	st := status.Family{
		Name: f.proto.Name(), Max: f.max(), Alive: c.Alive, InUse: c.InUse,
		Opened: c.Opened, Retired: c.Retired, Evicted: c.Evicted, Refused: c.Refused + f.refused.Load(),
	}
	if sh := f.proto.Shape.Load(); sh != nil {
		for _, p := range sh.Params {
			st.Params = append(st.Params, p.Name)
		}
	}
	return st
}
