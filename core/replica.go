package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/replication"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// Replicator is implemented by a loader whose rows come from a binding of another node. It
// publishes whole versions as that node has them, and no feed reads it. Its bindings are
// read-only, and no source watches them. Their filter may only declare a family's
// parameters: the other node decides which rows there are.
type Replicator interface {
	// Replicate publishes the versions of one binding, or of one member of a family, until
	// ctx is done. It runs on a goroutine of its own for each. A return before ctx is done
	// is a failure: the binding becomes stale, and the registry calls Replicate again after
	// a growing pause (0.1 to 30 seconds, with jitter). For a member an [*ArgumentError] or
	// a [*DeniedError] is final: the member ends with it.
	Replicate(ctx context.Context, to *Replica) error
}

// MarkReplicator is implemented by a [Replicator] whose node knows about marks. Without it,
// and without [MarkAwaiter], every mark is foreign to the loader's bindings.
type MarkReplicator interface {
	// Reach waits until the other node's binding shows everything that the mark covers. The
	// context bounds the wait. It returns [ErrForeignMark] when that node cannot tell.
	// After success the registry calls Replicate anew, with the mark in [Replica.Mark], so
	// that it publishes at least that state.
	Reach(ctx context.Context, view *live.View, mark string) error
}

// MarkAwaiter is implemented by a [Replicator] that waits by itself until its view shows
// what a mark covers. Replicate is then not called anew, and marks do not wait for each
// other.
type MarkAwaiter interface {
	// AwaitMark waits until the view shows everything that the mark covers. It is called
	// concurrently, also with Replicate. The context bounds the wait. It returns
	// [ErrForeignMark] when the other node cannot tell.
	AwaitMark(ctx context.Context, view *live.View, mark string) error
}

// OriginReporter is implemented by a [Replicator] that reports the state of its origin.
type OriginReporter interface {
	// Origin returns the origin, the same for all bindings that follow it, or nil for none.
	// It is called when the binding is declared.
	Origin() Origin
}

// Origin is a node whose bindings this one follows, see [OriginReporter]. Registries
// compare origins with ==.
type Origin interface {
	// Status is called from any goroutine, and must not block.
	Status() status.Origin
}

// Replica is a binding, or a member of a family, to which a [Replicator] publishes. Only
// the goroutine of Replicate may call its methods.
type Replica struct{ rows *replication.Replica }

// View returns the view to publish to: its name, its parameters, and the version that it
// holds.
func (r *Replica) View() *live.View { return r.rows.View() }

// Anew reports whether to request all rows from the other node, whatever the view holds,
// because Resync or Clear was called.
func (r *Replica) Anew() bool { return r.rows.Anew() }

// Mark returns the mark that this call of Replicate should reach, "" for none. Request the
// other node's state from that mark on, and call [Replica.Marked] once the view shows it,
// or with the reason why not.
func (r *Replica) Mark() string { return r.rows.Mark() }

// Marked says that the view shows at least what the mark covers, or, with an error, that
// this cannot be determined. Only the first call for a mark counts.
func (r *Replica) Marked(err error) { r.rows.Marked(foreign(err)) }

// Edit begins the next version, as [live.Publisher.Edit] does. After a Clear it starts from
// nothing.
func (r *Replica) Edit(print *live.Fingerprint, anew bool) *live.Edit {
	return r.rows.Edit(print, anew)
}

// Describe sets the description that readers see. Call it before the first Publish.
func (r *Replica) Describe(d live.Description) { r.rows.Describe(d) }

// Publish makes the edit current, as [live.Publisher.Publish] does. Call Current or Stale
// after it. It returns false when the binding has ended.
func (r *Replica) Publish(e *live.Edit, at time.Time) bool { return r.rows.Publish(e, at) }

// From says whose versions are published from now on, by a text that stays the same while
// later versions are newer ([Grant.Lineage] at the other node), "" for unknown. With another
// one than before the view may go back to older rows, so marks that were reached are asked
// about again. Call it before the first version of a connection is published. A Replicator
// that never calls it says that its versions never go back.
func (r *Replica) From(lineage string) { r.rows.From(lineage) }

// Current says that the view is up to date.
func (r *Replica) Current() { r.rows.Current() }

// Stale says that the view may be out of date, and why.
func (r *Replica) Stale(why error) { r.rows.Stale(why) }

// newReplica returns the upkeep of a binding whose rows the replicator publishes.
func newReplica(v *binding, by Replicator) *replication.Replica {
	source := &replication.Source{
		Replicate: func(ctx context.Context, to *replication.Replica) error { return by.Replicate(ctx, &Replica{to}) },
	}
	if marker, ok := by.(MarkReplicator); ok {
		source.Reach = func(ctx context.Context, view *live.View, mark string) error {
			return foreign(marker.Reach(ctx, view, mark))
		}
	}
	if awaiter, ok := by.(MarkAwaiter); ok {
		source.Await = func(ctx context.Context, view *live.View, mark string) error {
			return foreign(awaiter.AwaitMark(ctx, view, mark))
		}
	}
	rows := replication.New(v.Member, source)
	rows.Rewinds = v.reached.Forget
	return rows
}

// foreign converts ErrForeignMark to driver.ErrForeign.
func foreign(err error) error {
	if errors.Is(err, ErrForeignMark) {
		return driver.ErrForeign
	}
	return err
}

// refusedByOrigin ends a member that the origin refuses as unknown or denied. It returns
// false for any other error.
func (v *binding) refusedByOrigin(err error) bool {
	var argument *ArgumentError
	var denied *DeniedError
	if !errors.As(err, &argument) && !errors.As(err, &denied) {
		return false
	}
	v.family.members.Remove(v.id)
	v.end(err)
	v.family.shared.Load().came.Tell()
	return true
}

// notForReplicas returns an error for each declared property that the other node decides.
func notForReplicas(s *settings) (errs []error) {
	for what, said := range map[string]bool{
		"a filter (core.Where)": s.Where != nil || s.Filter != nil && !s.Family,
		"an order":              len(s.Order) > 0,
		"a limit":               s.Limit > 0,
		"what clients see":      s.Serializer != nil || s.Columns != nil,
		"tables":                len(s.Depends) > 0,
	} {
		if said {
			errs = append(errs, fmt.Errorf("it declares %s, which the node that it follows decides", what))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}
