package core

import (
	"container/list"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/value"
)

// Family is a binding with parameters: for each combination of their values it
// has a member, which is a binding of its own. Members come alive when they are
// first asked for, are shared by all who ask with the same values, and retire
// when nobody has used them for a while; see [Tuning].
//
// The parameters are those of its filter, see [filter.Param]; their types are
// those of the columns that they are compared with.
//
// All methods may be called from any goroutine.
type Family[T any] struct{ proto *publisher }

// BindFamily declares a family over a loader. It does no input or output;
// problems are reported by [Registry.Start].
func BindFamily[T any](name string, loader driver.Loader[T], opts ...Option) *Family[T] {
	opts = append(opts[:len(opts):len(opts)], func(s *settings) { s.Family = true })
	return &Family[T]{declare(name, loader, opts)}
}

func (f *Family[T]) publisher() *publisher {
	if f == nil {
		return nil
	}
	return f.proto
}

// Name returns the family's name.
func (f *Family[T]) Name() string { return f.proto.Name() }

// Member is a member of a family in use. It is a [Binding] of its own, and stays
// alive until Close.
type Member[T any] struct {
	*Binding[T]
	lease *lease
}

// Close says that the member is not used any more by who opened it. Closing
// twice is harmless.
func (m *Member[T]) Close() { m.lease.release() }

// Open returns the member with these parameters, and waits until it has loaded.
// The error is an [*ArgumentError] when an argument is missing, unknown or of the
// wrong type, [ErrTooManyMembers], [ErrNotStarted], [live.ErrRemoved], [live.ErrClosed],
// or the context's: a database that is away makes it wait.
//
// No authorizer is asked: this is for the program itself. Clients come through
// [Registry.Open].
func (f *Family[T]) Open(ctx context.Context, args Args) (*Member[T], error) {
	fam := f.proto.family
	params, err := fam.parse(args)
	if err != nil {
		return nil, err
	}
	l, err := fam.open(params, nil)
	if err != nil {
		return nil, err
	}
	select {
	case <-l.view.Loaded():
		return &Member[T]{&Binding[T]{View: l.view.View, own: l.view}, l}, nil
	case <-l.view.Done():
		err = l.view.Err()
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.release()
	return nil, fmt.Errorf("core: loading binding %q: %w", l.view.ID(), err)
}

// family is all that is made from one declaration: the binding itself, and the
// members that parameters and scopes make of it.
type family struct {
	proto    *publisher            // the declaration; the binding itself unless there are parameters
	whole    lease                 // of the binding itself
	grant    atomic.Pointer[Grant] // of the binding itself, shared by all
	watchers watchers              // OnChange functions of all bindings

	mu      sync.Mutex // guards what follows
	eng     *engine    // from the start on
	closed  error
	members map[string]*member
	idle    list.List // of *member, the one that has been idle for longest first
	retirer *time.Timer
	stats   status.Family
}

// member is a binding of a family, and how many use it.
type member struct {
	id     string
	view   *publisher
	leases int
	idle   *list.Element // nil while in use
	since  time.Time     // idle
}

func newFamily(proto *publisher) *family {
	f := &family{proto: proto}
	f.whole = lease{view: proto, family: f}
	return f
}

// parse converts arguments to parameters.
func (f *family) parse(args Args) (live.Params, error) {
	sh := f.proto.Shape.Load()
	if sh == nil {
		return nil, fmt.Errorf("core: binding %q: %w", f.proto.Name(), ErrNotStarted)
	}
	return parseArgs(f.proto.Name(), sh.Params, args)
}

// askTimeout bounds how long the database is asked about an argument. Whoever has
// to wait longer waits for the member's rows instead.
const askTimeout = time.Second

// askAbout asks the database about arguments of which only it knows whether it
// refuses them, unless there is such a member already. A database that does not
// answer refuses nothing.
func (f *family) askAbout(ctx context.Context, params live.Params, scope filter.Expr) error {
	sh := f.proto.Shape.Load()
	if len(params) == 0 || sh == nil {
		return nil
	}
	f.mu.Lock()
	_, there := f.members[memberID(params, scope)]
	f.mu.Unlock()
	if there {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for i, p := range sh.Params {
		for _, c := range p.Columns {
			if !c.Asked || i >= len(params) {
				continue
			}
			detail, err := f.proto.Loader.CheckLiteral(ctx, c.Name, params[i].Value)
			if err == nil && detail != "" {
				return &ArgumentError{Binding: f.proto.Name(), Param: p.Name, Detail: detail}
			}
		}
	}
	return nil
}

// lease keeps a member alive. Of a binding without parameters and scope it is
// nothing but the binding.
type lease struct {
	view   *publisher
	family *family
	member *member // nil: the binding itself
	once   sync.Once
}

func (l *lease) release() {
	if l.member != nil {
		l.once.Do(func() { l.family.release(l.member) })
	}
}

// open returns a lease of the member with these parameters, confined to the
// scope when there is one. The member loads in the background.
func (f *family) open(params live.Params, scope filter.Expr) (*lease, error) {
	if !f.proto.Spec.Family && scope == nil {
		return &f.whole, nil
	}
	id := memberID(params, scope)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed != nil:
		return nil, f.closed
	case f.eng == nil:
		return nil, fmt.Errorf("core: binding %q: %w", f.proto.Name(), ErrNotStarted)
	}
	m := f.members[id]
	if m == nil {
		if len(f.members) >= f.max() && !f.evictLocked() {
			f.stats.Refused++
			return nil, fmt.Errorf("core: binding %q: %w (%d)", f.proto.Name(), ErrTooManyMembers, f.max())
		}
		v, err := f.newMember(params, scope)
		if err != nil {
			return nil, err
		}
		m = &member{id: id, view: v}
		if f.members == nil {
			f.members = make(map[string]*member)
		}
		f.members[id] = m
		f.stats.Opened++
		f.eng.join(v)
		f.eng.came.tell()
	}
	if m.idle != nil {
		f.idle.Remove(m.idle)
		m.idle = nil
	}
	m.leases++
	return &lease{view: m.view, family: f, member: m}, nil
}

// memberID tells members apart.
func memberID(params live.Params, scope filter.Expr) string {
	var b []byte
	for _, p := range params {
		b = p.Value.AppendOrdered(b)
	}
	if scope != nil {
		b = append(append(b, 0xff), scope.String()...)
	}
	return string(b)
}

func (f *family) newMember(params live.Params, scope filter.Expr) (*publisher, error) {
	v := newPublisher(f.proto.Name(), params, f.proto.Loader, f.proto.Spec)
	v.family, v.Scope, v.Base = f, scope, f.proto.Member
	v.Filter = filter.Bind(v.Filter, func(name string) (value.Value, bool) { return params.Get(name) })
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

func (f *family) release(m *member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m.leases--; m.leases > 0 || f.closed != nil {
		return
	}
	m.since = time.Now()
	m.idle = f.idle.PushBack(m)
	if f.idle.Len() == 1 {
		f.retireLater(f.idleAfter())
	}
}

// retireLater has members retire that will then have been idle for long enough.
func (f *family) retireLater(d time.Duration) {
	if f.retirer == nil {
		f.retirer = time.AfterFunc(d, f.retire)
	} else {
		f.retirer.Reset(d)
	}
}

func (f *family) retire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed != nil {
		return
	}
	for e := f.idle.Front(); e != nil; e = f.idle.Front() {
		m := e.Value.(*member)
		if rest := f.idleAfter() - time.Since(m.since); rest > 0 {
			f.retireLater(rest)
			return
		}
		f.stats.Retired++
		f.dropLocked(m)
	}
}

// evictLocked makes room for another member, if one is idle.
func (f *family) evictLocked() bool {
	e := f.idle.Front()
	if e == nil {
		return false
	}
	f.stats.Evicted++
	f.dropLocked(e.Value.(*member))
	return true
}

func (f *family) dropLocked(m *member) {
	if m.idle != nil {
		f.idle.Remove(m.idle)
	}
	delete(f.members, m.id)
	m.view.Publisher.End(fmt.Errorf("core: binding %q: %w", m.view.ID(), live.ErrRemoved))
	m.view.feed.Load().removeView(m.view.Member)
	f.eng.came.tell()
}

// begin lets members come alive.
func (f *family) begin(eng *engine) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.eng = eng
	eng.came.tell()
}

// end ends the binding and all members, and lets none come alive.
func (f *family) end(why error) {
	f.proto.Publisher.End(why)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed != nil {
		return
	}
	f.closed = why
	if f.eng != nil {
		defer f.eng.came.tell()
	}
	if f.retirer != nil {
		f.retirer.Stop()
	}
	for _, m := range f.members {
		m.view.Publisher.End(why)
		m.view.feed.Load().removeView(m.view.Member)
	}
	f.idle.Init()
}

// alive returns the members, in the order in which they came.
func (f *family) alive() []*publisher {
	f.mu.Lock()
	defer f.mu.Unlock()
	views := make(map[*publisher]struct{}, len(f.members))
	for _, m := range f.members {
		views[m.view] = struct{}{}
	}
	return slices.SortedFunc(maps.Keys(views), func(a, b *publisher) int { return rowset.BySeq(a.Member, b.Member) })
}

func (f *family) status() status.Family {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.stats
	st.Name, st.Max = f.proto.Name(), f.max()
	st.Alive = len(f.members)
	st.InUse = st.Alive - f.idle.Len()
	if sh := f.proto.Shape.Load(); sh != nil {
		for _, p := range sh.Params {
			st.Params = append(st.Params, p.Name)
		}
	}
	return st
}
