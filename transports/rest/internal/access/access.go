// Package access asks for leave to use bindings, and tells clients why they do not
// get it.
package access

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/rest/internal/exchange"
)

// ErrScopeChanged means that the authorizer has changed its mind about what the
// client may see. Nothing has been written, and the request is to be begun anew.
var ErrScopeChanged = errors.New("rest: the client's scope has changed")

// Reopenings bounds how often a request is begun anew after [ErrScopeChanged].
const Reopenings = 3

// Opener opens bindings for requests.
type Opener struct {
	Registry *core.Registry
	LoadWait time.Duration   // for the rows of a member that has come alive with the request
	Stopping context.Context // ends this wait
}

// Open sets the exchange's grant and view to those of the binding, or of the family's
// member that the arguments name. Without a problem the caller closes the grant.
func (o *Opener) Open(x *exchange.Exchange, binding string, args core.Args) *problem.Problem {
	g, err := o.Registry.Open(x.R.Context(), binding, args)
	if err != nil {
		return o.Refusal(x, binding, err)
	}
	v := g.View()
	if p := o.await(x.R.Context(), g, v); p != nil {
		g.Close()
		return p
	}
	x.Grant, x.View = g, v
	return nil
}

// await waits for the rows of a member that has come alive just now. It refuses a
// binding that has ended, because nothing keeps its rows current any more.
func (o *Opener) await(ctx context.Context, g *core.Grant, v *live.View) *problem.Problem {
	if v.Snapshot() == nil && g.Member() && o.LoadWait > 0 {
		timer := time.NewTimer(o.LoadWait)
		defer timer.Stop()
		select {
		case <-v.Loaded():
		case <-v.Done():
		case <-timer.C:
		case <-o.Stopping.Done():
		case <-ctx.Done():
		}
	}
	select {
	case <-v.Done():
		if p, told := problem.Of(v.Name(), v.Err()); told && !errors.Is(v.Err(), live.ErrRemoved) {
			return p
		}
		return problem.ShuttingDown()
	default:
		return nil
	}
}

// Refusal returns what the client is told of an error of core's. An error that is not
// for clients goes to the log.
func (o *Opener) Refusal(x *exchange.Exchange, binding string, err error) *problem.Problem {
	p, told := problem.Of(binding, err)
	if !told && x.R.Context().Err() == nil {
		o.Registry.Logger().Error("rest: asking the authorizer about a binding failed", slog.String("id", "rest-authorizer-failed"), "binding", binding, "method", x.R.Method, "err", err)
	}
	return p
}
