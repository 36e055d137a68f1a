package wiretest

import (
	"context"
	"sync"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
)

// Rights is an authorizer that tests change as they go. At first it allows
// everything.
type Rights struct {
	mu       sync.Mutex
	decide   map[string]core.Decision // by binding; guarded by mu
	Blocks   string                   // the binding about which it does not answer
	Blocking chan struct{}            // is sent to by who asks about that
}

var _ core.Authorizer = (*Rights)(nil)

// Set has the decision about a binding be this one from now on.
func (r *Rights) Set(binding string, d core.Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.decide == nil {
		r.decide = make(map[string]core.Decision)
	}
	r.decide[binding] = d
}

// Authorize implements [core.Authorizer].
func (r *Rights) Authorize(ctx context.Context, a core.Access) (core.Decision, error) {
	if a.Binding == r.Blocks {
		r.Blocking <- struct{}{}
		<-ctx.Done()
		return core.Allow(), ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if d, ok := r.decide[a.Binding]; ok {
		return d, nil
	}
	return core.Allow(), nil
}

// Guard has the rig ask the rights. It is called before Start.
func (r *Rig) Guard(rights *Rights) {
	r.TB.Helper()
	if err := r.Reg.Authorize(rights); err != nil {
		r.TB.Fatalf("Authorize: %v", err)
	}
}

// AddFamilies adds two families over the table, before Start: "noted", those of
// a note, and "one", those of an id.
func (r *Rig) AddFamilies(table string) {
	r.TB.Helper()
	err := r.Reg.Add(
		core.BindFamily[Item]("noted", r.Tables[table], core.Where(filter.Eq("note", filter.Param("note")))),
		core.BindFamily[Item]("one", r.Tables[table], core.Where(filter.Eq("id", filter.Param("id")))))
	if err != nil {
		r.TB.Fatalf("Add: %v", err)
	}
}

// Reauthorize asks the rights again.
func (r *Rig) Reauthorize() {
	r.TB.Helper()
	if err := r.Reg.Reauthorize(context.Background()); err != nil {
		r.TB.Fatalf("Reauthorize: %v", err)
	}
}
