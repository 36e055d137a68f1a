package core

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"

	"github.com/binderyhq/bindery/core/live"
)

// Follow iterates over the versions that the grant shows: the current one, as soon as it
// has loaded, and each later one, with its rows. T is the type of the binding's rows. Use
// it for GraphQL subscriptions, pages rendered on the server, and the program's own
// streams:
//
//	grant, err := reg.Open(ctx, "orders", core.Args{"user": 42})
//	if err != nil { … }
//	defer grant.Close()
//	for orders, err := range core.Follow[Order](ctx, grant) {
//		if err != nil { … } // the last round
//		send(orders.Version().Token, slices.Collect(orders.All()))
//	}
//
// There is no queue: a slow consumer gets the newest version next, and never sees those
// between. Versions with unchanged content are skipped.
//
// The context identifies the client, as for [Registry.Open], and ends the iteration without
// an error. The authorizer is asked again while it goes on, as for a stream; when the
// client may now see something else, that becomes the next version. Any other end is an
// error, passed in a last round: a [*DeniedError] when the permission to read was
// withdrawn, [live.ErrRemoved], [live.ErrClosed] when [Registry.Shutdown] has begun, and
// [ErrRowType]. The grant stays open, and may be used for several iterations, even at the
// same time.
func Follow[T any](ctx context.Context, g *Grant) iter.Seq2[Snapshot[T], error] {
	return func(yield func(Snapshot[T], error) bool) {
		if err := g.rowType(reflect.TypeFor[T]()); err != nil {
			yield(Snapshot[T]{}, err)
			return
		}
		f := following{ctx: ctx, grant: g}
		defer f.release()
		for {
			s, err := f.next()
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				yield(Snapshot[T]{}, err)
				return
			case !yield(Snapshot[T]{s, f.grant.view.View}, nil):
				return
			}
		}
	}
}

// Read returns the version that the grant shows: the one that the context carries (see
// [WithSnapshots]), or else the current one, once it has loaded. T is the type of the
// binding's rows. The error is [ErrRowType], [live.ErrScopeChanged] as for
// [Grant.Snapshot], [live.ErrRemoved], [live.ErrClosed], or the context's.
func Read[T any](ctx context.Context, g *Grant) (Snapshot[T], error) {
	if err := g.rowType(reflect.TypeFor[T]()); err != nil {
		return Snapshot[T]{}, err
	}
	select {
	case <-g.view.Loaded():
	case <-g.view.Done():
		return Snapshot[T]{}, g.view.Err()
	case <-g.reg.stopping.Done():
		return Snapshot[T]{}, fmt.Errorf("core: reading binding %q: %w", g.view.ID(), live.ErrClosed)
	case <-ctx.Done():
		return Snapshot[T]{}, ctx.Err()
	}
	s := g.view.SnapshotIn(ctx)
	if _, err := g.Snapshot(); err != nil {
		return Snapshot[T]{}, err
	}
	return Snapshot[T]{s, g.view.View}, nil
}

// ErrRowType means that the rows of a binding are not of the requested type.
var ErrRowType = errors.New("rows of another type")

// rowType returns an error unless t is the type of the binding's rows.
func (g *Grant) rowType(t reflect.Type) error {
	if have := g.view.Loader.RowType(); have != t {
		return fmt.Errorf("core: binding %q has rows of the type %s, not %s: %w", g.view.Name(), have, t, ErrRowType)
	}
	return nil
}

// following is an iteration over versions.
type following struct {
	ctx   context.Context
	grant *Grant // the one followed now
	again bool   // grant was reopened, so the iteration closes it
	sub   *live.Subscription
	token string // of the version shown last
	shown bool
}

// next waits for a version that differs from the one shown last.
func (f *following) next() (*live.Snapshot, error) {
	reg := f.grant.reg
	ctx, cancel := context.WithCancelCause(f.ctx)
	defer cancel(nil)
	defer context.AfterFunc(reg.stopping, func() { cancel(live.ErrClosed) })()
	for {
		if f.sub == nil {
			f.sub = f.grant.Subscribe(f.ctx, live.SubscribeOptions{Version: f.token})
		}
		event, err := f.sub.Next(ctx)
		var s *live.Snapshot
		if err == nil {
			// Whatever the event was, the newest version includes it.
			s, err = f.grant.Snapshot()
		}
		switch {
		case reg.stopping.Err() != nil:
			return nil, fmt.Errorf("core: following binding %q: %w", f.grant.view.ID(), live.ErrClosed)
		case errors.Is(err, live.ErrScopeChanged):
			if err := f.reopen(ctx); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, err
		}
		token := s.Version().Token
		if event.Version.Token != token {
			// The subscription lags behind the version shown now. If the content later
			// returned to the subscription's version, it would report nothing: continue
			// from the shown version.
			f.sub.Close()
			f.sub = nil
		}
		if !f.shown || token != f.token {
			f.token, f.shown = token, true
			return s, nil
		}
	}
}

// reopen asks what the client may see from now on.
func (f *following) reopen(ctx context.Context) error {
	old := f.grant
	v, err := old.reg.named(old.access.Binding)
	if err != nil {
		return err
	}
	g, err := newGrant(ctx, old.reg, v, old.access.Params, old.narrow)
	if err != nil {
		return err
	}
	f.release()
	f.grant, f.again = g, true
	return nil
}

// release closes what the iteration has opened.
func (f *following) release() {
	if f.sub != nil {
		f.sub.Close()
		f.sub = nil
	}
	if f.again {
		f.grant.Close()
		f.again = false
	}
}
