package rest

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// open asks for leave to use the binding, or the member of a family that the
// arguments name. The caller closes the grant, unless there is a problem.
func (t *Transport) open(x *exchange, binding string, args core.Args) *problem.Problem {
	g, err := t.reg.Open(x.r.Context(), binding, args)
	if err != nil {
		return t.refusalOf(*x, binding, err)
	}
	v := g.View()
	if p := t.await(x.r.Context(), g, v); p != nil {
		g.Close()
		return p
	}
	x.grant, x.view = g, v
	return nil
}

// await waits for the rows of a member that has come alive just now. A binding
// that has ended is refused: its rows are not kept current any more.
func (t *Transport) await(ctx context.Context, g *core.Grant, v *live.View) *problem.Problem {
	if v.Snapshot() == nil && g.Member() && t.cfg.LoadWait > 0 {
		timer := time.NewTimer(t.cfg.LoadWait)
		defer timer.Stop()
		select {
		case <-v.Loaded():
		case <-v.Done():
		case <-timer.C:
		case <-t.stopping.Done():
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

// refusalOf words an error of core's for the client. What is not for the client
// goes to the log.
func (t *Transport) refusalOf(x exchange, binding string, err error) *problem.Problem {
	p, told := problem.Of(binding, err)
	if !told && x.r.Context().Err() == nil {
		t.reg.Logger().Error("rest: leave to use a binding could not be asked for", slog.String("id", "rest-authorizer-failed"), "binding", binding, "method", x.r.Method, "err", err)
	}
	return p
}
