package rest

import (
	"errors"
	"net/http"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// noStore is the Cache-Control of what is of use once.
var noStore = []string{"no-store"}

// deltaKey keeps the bodies of different transports apart.
type deltaKey struct{ t *Transport }

// readChanges answers with the messages that lead from a version to the current
// one. Where that is the current one, it waits for another, for as long as the
// client asks. The answer has no tag: the same change may be told in several
// ways.
func (t *Transport) readChanges(x exchange, q query) (*problem.Problem, error) {
	if _, p := t.reach(x); p != nil {
		return p, nil
	}
	// The first event of a subscription is all that was missed.
	sub := x.grant.Subscribe(x.r.Context(), live.SubscribeOptions{Version: wire.ParseToken(q.since)})
	defer sub.Close()
	e, err := sub.Poll()
	if err == nil && e == nil {
		return problem.NotLoaded(x.view.Name()), nil
	}
	if err == nil && e.Kind == live.Confirmed && q.wait > 0 {
		e, err = t.awaitChange(x, q.wait, sub, e)
	}
	var denied *core.DeniedError
	switch {
	case errors.Is(err, live.ErrScopeChanged):
		return nil, errScopeChanged
	case errors.Is(err, live.ErrRemoved), errors.Is(err, core.ErrBudget), errors.As(err, &denied):
		return t.refusalOf(x, x.view.Name(), err), nil
	case err != nil:
		return problem.ShuttingDown(), nil
	}
	// Events are shared by all who missed the same, and so is the body.
	c := live.Memo(e.Cache(), deltaKey{t}, func(charge *live.Charge) *content {
		body := t.changes(x.view, e)
		charge.Add(cap(body))
		return &content{size: len(body), build: func() []byte { return body }, shared: true, charge: charge}
	})
	in := identity
	if t.compressible(x, c) {
		in = parseAccept(x.r.Header["Accept-Encoding"]).best()
	}
	h := x.w.Header()
	h["Cache-Control"] = noStore
	if e.Kind != live.Confirmed && t.isShared(x.grant) {
		// The way from one version to another is the same whenever it is asked for.
		h["Cache-Control"] = t.sharedChanges
	}
	if links := t.monitorLinks(x.base, x.view); links != "" {
		addShared(h, "Link", []string{links})
	}
	addShared(h, "Vary", t.vary())
	return nil, writeBody(x, http.StatusOK, c.body(in), in)
}

// awaitChange returns the next change of a subscription, or the confirmation that
// it begins with when the time is over without one. The error is the
// subscription's.
func (t *Transport) awaitChange(x exchange, asked time.Duration, sub *live.Subscription, confirmed *live.Event) (*live.Event, error) {
	ctx, release, ok := t.hold(x, asked)
	if !ok {
		return confirmed, nil
	}
	defer release()
	for {
		e, err := sub.Next(ctx)
		switch {
		case err != nil && ctx.Err() != nil && sub.Err() == nil:
			return confirmed, nil
		case err != nil:
			return nil, err
		case e.Kind != live.Confirmed:
			return e, nil
		}
	}
}

// changes returns the event's messages as one JSON array.
func (t *Transport) changes(v *live.View, e *live.Event) []byte {
	batch := t.messages.Batch(v, e)
	size := 3
	for i := range batch.Len() {
		size += len(batch.Message(i).JSON) + 1
	}
	body := append(make([]byte, 0, size), '[')
	for i := range batch.Len() {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, batch.Message(i).JSON...)
	}
	return append(body, "]\n"...)
}
