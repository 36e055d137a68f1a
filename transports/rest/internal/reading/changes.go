package reading

import (
	"errors"
	"net/http"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/rest/internal/access"
	"github.com/binderyhq/bindery/transports/rest/internal/content"
	"github.com/binderyhq/bindery/transports/rest/internal/exchange"
	"github.com/binderyhq/bindery/transports/rest/internal/request"
)

// changesKey tells apart the bodies that different transports make of one event.
type changesKey struct{ of *Reader }

// changes answers with the messages that lead from a version to the current one. If
// the client has the current one, it waits for the next, as long as the client asks.
// The answer has no tag, because one change can be told in several ways.
func (r *Reader) changes(x *exchange.Exchange, q request.List) (*problem.Problem, error) {
	if _, p := r.reach(x); p != nil {
		return p, nil
	}
	// The first event of a subscription is everything that the client has missed.
	sub := x.Grant.Subscribe(x.R.Context(), live.SubscribeOptions{Version: wire.ParseToken(q.Since)})
	defer sub.Close()
	e, err := sub.Poll()
	if err == nil && e == nil {
		return problem.NotLoaded(x.View.Name()), nil
	}
	if err == nil && e.Kind == live.Confirmed && q.Wait > 0 {
		e, err = r.awaitChange(x, q.Wait, sub, e)
	}
	var denied *core.DeniedError
	switch {
	case errors.Is(err, live.ErrScopeChanged):
		return nil, access.ErrScopeChanged
	case errors.Is(err, live.ErrRemoved), errors.Is(err, core.ErrBudget), errors.As(err, &denied):
		return r.Refusal(x, x.View.Name(), err), nil
	case err != nil:
		return problem.ShuttingDown(), nil
	}
	// All clients that have missed the same share the event, and so its body.
	c := live.Memo(e.Cache(), changesKey{r}, func(charge *live.Charge) *content.Content {
		body := r.encode(x.View, e)
		charge.Add(cap(body))
		return content.Untagged(body, charge)
	})
	h := x.W.Header()
	if e.Kind == live.Confirmed {
		h["Cache-Control"] = exchange.NoStore
	} else {
		h["Cache-Control"] = r.Caching.OfChanges(x.Grant)
	}
	if links := r.Editions.MonitorLinks(x.Prefix, x.View); links != "" {
		exchange.AddHeader(h, "Link", []string{links})
	}
	exchange.AddHeader(h, "Vary", r.Caching.Vary)
	return nil, x.Write(http.StatusOK, c, x.Coding(c))
}

// awaitChange returns the next change of a subscription, or its first event, which
// confirms the client's version, if the time passes without a change. The error is
// the subscription's.
func (r *Reader) awaitChange(x *exchange.Exchange, asked time.Duration, sub *live.Subscription, confirmed *live.Event) (*live.Event, error) {
	ctx, release, ok := r.hold(x, asked)
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

// encode returns the event's messages as one JSON array.
func (r *Reader) encode(v *live.View, e *live.Event) []byte {
	batch := r.messages.Batch(v, e)
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
