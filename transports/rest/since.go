package rest

import (
	"errors"
	"net/http"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/internal/wire"
)

// noStore is the Cache-Control of changes: what leads from one version to the
// current one is of use once.
var noStore = []string{"no-store"}

// deltaKey keeps the bodies of different transports apart.
type deltaKey struct{ t *Transport }

// readChanges answers with the messages that lead from a version to the current
// one. The answer has no tag: the same change may be told in several ways.
func (t *Transport) readChanges(x exchange, token string) (*problem.Problem, error) {
	// The first event of a subscription is all that was missed.
	sub := x.grant.Subscribe(x.r.Context(), live.SubscribeOptions{Version: wire.ParseToken(token)})
	defer sub.Close()
	e, err := sub.Poll()
	switch {
	case errors.Is(err, live.ErrScopeChanged):
		return nil, errScopeChanged
	case errors.Is(err, live.ErrRemoved):
		return problem.UnknownBinding(x.view.Name()), nil
	case errors.Is(err, core.ErrBudget):
		return problem.OverBudget(x.view.Name()), nil
	case err != nil:
		return problem.ShuttingDown(), nil
	case e == nil:
		return problem.NotLoaded(x.view.Name()), nil
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
	if links := t.monitorLinks(x.base, x.view); links != "" {
		addShared(h, "Link", []string{links})
	}
	addShared(h, "Vary", varyEncoding)
	return nil, writeBody(x, http.StatusOK, c.body(in), in)
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
