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

// Replicator is implemented by a loader whose rows are a binding of another node: it
// publishes whole versions as that node has them, and no feed reads it. Its bindings
// are read-only, and no source watches them. Their filter declares a family's
// parameters and nothing else: which rows there are is what the other node says.
type Replicator interface {
	// Replicate publishes the versions of one binding, or of one member of a family,
	// until ctx is done. It runs on a goroutine of its own for each. A return before
	// ctx is done is a failure: the binding is stale, and Replicate is called again
	// after a while that grows (0.1 to 30 seconds, with jitter). For a member an
	// [*ArgumentError] or a [*DeniedError] is final: the member ends with it.
	Replicate(ctx context.Context, to *Replica) error
}

// MarkReplicator is implemented by a [Replicator] whose node knows about marks. Without
// it every mark is foreign to the bindings of the loader.
type MarkReplicator interface {
	// Reach waits until the other node's binding shows everything that the mark
	// covers. The context bounds the wait. [ErrForeignMark] says that the node cannot
	// tell. Then Replicate is called anew, with the mark in [Replica.Mark], so that
	// what it publishes from then on is at least that.
	Reach(ctx context.Context, view *live.View, mark string) error
}

// OriginReporter is implemented by a [Replicator] that tells how its origin is followed.
type OriginReporter interface {
	// Origin returns the origin, the same for all bindings that follow it, or nil when
	// there is none. It is called when the binding is declared.
	Origin() Origin
}

// Origin is a node whose bindings are followed, as an [OriginReporter] has it. Registries tell
// origins apart by comparing them.
type Origin interface {
	// Status is called from any goroutine, and answers from memory.
	Status() status.Origin
}

// Replica is a binding, or a member of a family, that a [Replicator] publishes to. Its
// methods are for the goroutine of Replicate.
type Replica struct{ rows *replication.Replica }

// View returns the view that is published to: its name, its parameters, and the
// version that it holds.
func (r *Replica) View() *live.View { return r.rows.View() }

// Anew reports whether to ask the other node for all rows, whatever the view holds,
// because somebody has called Resync or Clear.
func (r *Replica) Anew() bool { return r.rows.Anew() }

// Mark returns the mark that the present call is to lead up to, "" for none. Ask the
// other node for what comes from there on, and call [Replica.Marked] when that shows, or
// with the reason why not.
func (r *Replica) Mark() string { return r.rows.Mark() }

// Marked says that what the view holds is at least what the mark covers, or, with an
// error, that it cannot be told. Only the first call for a mark counts.
func (r *Replica) Marked(err error) { r.rows.Marked(foreign(err)) }

// Edit begins the way to the next version, as [live.Publisher.Edit] does. After a
// Clear it begins with nothing.
func (r *Replica) Edit(print *live.Fingerprint, anew bool) *live.Edit {
	return r.rows.Edit(print, anew)
}

// Describe says what readers are told about the rows, before the first Publish.
func (r *Replica) Describe(d live.Description) { r.rows.Describe(d) }

// Publish makes the edit what readers see, as [live.Publisher.Publish] does. Call Current
// or Stale after it. It returns false when the binding has ended.
func (r *Replica) Publish(e *live.Edit, at time.Time) bool { return r.rows.Publish(e, at) }

// Current says that what the view holds is current.
func (r *Replica) Current() { r.rows.Current() }

// Stale says that what the view holds may be out of date, and why.
func (r *Replica) Stale(why error) { r.rows.Stale(why) }

// newReplica returns the rows that the replicator publishes.
func newReplica(v *publisher, by Replicator) *replication.Replica {
	source := &replication.Source{
		Replicate: func(ctx context.Context, to *replication.Replica) error { return by.Replicate(ctx, &Replica{to}) },
	}
	if marker, ok := by.(MarkReplicator); ok {
		source.Reach = func(ctx context.Context, view *live.View, mark string) error {
			return foreign(marker.Reach(ctx, view, mark))
		}
	}
	return replication.New(v.Member, source)
}

// foreign returns the error as the registry knows it.
func foreign(err error) error {
	if errors.Is(err, ErrForeignMark) {
		return driver.ErrForeign
	}
	return err
}

// refusedByOrigin ends a member that the origin does not have, or does not show. It
// returns false for any other error.
func (v *publisher) refusedByOrigin(err error) bool {
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

// notForReplicas returns what a declaration says that another node decides.
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
