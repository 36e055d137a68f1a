package core

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/marks"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/internal/upkeep"
	"github.com/binderyhq/bindery/core/internal/writing"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// binding is a [Binding] without the type of its rows, as the registry holds it: its rows,
// the upkeep that keeps them current, and its family.
type binding struct {
	*rowset.Member
	family *family     // the declaration it comes from, with all members
	rows   upkeep.Rows // kept by a feed, or by another node
	origin Origin      // the other node, nil for none or unknown

	account account // its memory
	reached marks.Reached
	id      string // of a family's member; see memberID
}

func newBinding(name string, params live.Params, r untyped.Loader, s *rowset.Spec) *binding {
	v := &binding{}
	v.account.v = v
	v.Member = rowset.NewMember(name, params, r, s, &v.account)
	return v
}

// reload has all rows read again, and waits until the result shows.
func (v *binding) reload(ctx context.Context, how backlog.Reload) error {
	wait, err := v.rows.Reload(how)
	if err == nil {
		err = wait(ctx, true)
	}
	if err != nil {
		return fmt.Errorf("core: reading binding %q again: %w", v.Name(), err)
	}
	return nil
}

func (v *binding) touch() error {
	if err := v.rows.Touch(); err != nil {
		return fmt.Errorf("core: binding %q: %w", v.Name(), err)
	}
	return nil
}

// compare compares the binding with the database, see [Binding.Verify].
func (v *binding) compare(ctx context.Context) (status.Drift, error) {
	drift, err := v.rows.Verify(ctx)
	if err != nil {
		return status.Drift{}, fmt.Errorf("core: verifying binding %q: %w", v.Name(), err)
	}
	return drift, nil
}

// write carries out a client's write, see [Binding.Write].
func (v *binding) write(ctx context.Context, w live.Write, bounds writing.Bounds) (live.Row, error) {
	if !v.Spec.Rules.Writable {
		return live.Row{}, fmt.Errorf("core: binding %q: %w", v.Name(), live.ErrNotWritable)
	}
	return v.rows.Write(ctx, w, bounds)
}

// explain says why a row is in the binding or not, see [Binding.Explain].
func (v *binding) explain(ctx context.Context, key driver.Key) (status.Explain, error) {
	out, err := v.rows.Explain(ctx, key)
	if err != nil {
		return status.Explain{}, fmt.Errorf("core: explaining a row of binding %q: %w", v.Name(), err)
	}
	return out, nil
}

func (v *binding) status() status.Binding {
	counts := v.Counts()
	st := status.Binding{
		Name: v.Name(), Params: v.Params(), Scoped: v.Scope != nil, Table: v.Schema().Table,
		Subscribers: counts.Subscribers,
		Events:      counts.Events, Syncs: counts.Syncs, Merges: counts.Merges,
	}
	if v.Scope != nil {
		st.Scope = v.Scope.String()
	}
	if s := v.Snapshot(); s != nil {
		st.Version, st.Rows, st.Bytes = s.Version(), s.Len(), s.Bytes()
	}
	v.rows.Status(&st)
	if st.Version.Seq > 0 {
		st.Age = max(0, v.now().Sub(st.Version.Modified))
	}
	if ended := v.Err(); ended != nil {
		st.State, st.Err = status.Ended, ended
	}
	return st
}

// firstTry returns a channel that is closed when the binding has loaded or the first
// attempt has failed. A family itself has nothing to load.
func (v *binding) firstTry() <-chan struct{} {
	if v.Spec.Family {
		return closedChannel
	}
	return v.rows.FirstTry()
}

var closedChannel = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (v *binding) logger() *slog.Logger {
	if s := v.family.shared.Load(); s != nil {
		return s.cfg.Logger
	}
	return slog.Default()
}

// now returns the time by the registry's clock.
func (v *binding) now() time.Time {
	if s := v.family.shared.Load(); s != nil {
		return s.cfg.Now()
	}
	return time.Now()
}

// upkeepOf returns the upkeep of the bindings.
func upkeepOf(views []*binding) []upkeep.Rows {
	out := make([]upkeep.Rows, len(views))
	for i, v := range views {
		out[i] = v.rows
	}
	return out
}
