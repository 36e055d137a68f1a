package followsource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/client"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/sources/internal/replicate"
)

// Replicate implements [core.Replicator].
func (l *loader[T]) Replicate(ctx context.Context, to *core.Replica) error {
	params := make(url.Values)
	for _, p := range to.View().Params() {
		params.Add(p.Name, p.Value.String())
	}
	for {
		f := &follower[T]{Follower: replicate.New[T](to, l.Table, &l.origin.counts), origin: l.origin, to: to, mark: to.Mark()}
		cfg := l.origin.cfg.client(params)
		cfg.Header = f.header(cfg.Header)
		stream, err := client.NewStream(l.origin.events, l.Table.Name, cfg)
		if err != nil {
			return err
		}
		f.stream = stream
		err = stream.Run(ctx, f)
		f.count()
		var refused *wire.Problem
		if errors.As(err, &refused) {
			err = l.origin.refusal(to.View(), refused)
			if f.asked { // the request had a mark, which may be the cause
				to.Marked(fmt.Errorf("%w: %w", core.ErrForeignMark, err))
				continue
			}
		}
		return err
	}
}

// follower is a replicate.Follower that counts its stream's work.
type follower[T any] struct {
	*replicate.Follower[T]
	origin  *Origin
	stream  *client.Stream
	counted client.Counts

	to    *core.Replica
	mark  string // the first connection asks for rows up to this mark
	asked bool   // the present connection's request has the mark
}

// header adds the mark to the headers of the first connection.
func (f *follower[T]) header(own func(context.Context) (http.Header, error)) func(context.Context) (http.Header, error) {
	if f.mark == "" {
		return own
	}
	return func(ctx context.Context) (h http.Header, err error) {
		if own != nil {
			if h, err = own(ctx); err != nil {
				return nil, err
			}
		}
		if f.asked = f.mark != ""; f.asked {
			if h = h.Clone(); h == nil {
				h = make(http.Header)
			}
			h.Set(headerMark, f.mark)
			f.mark = ""
		}
		return h, nil
	}
}

var (
	_ client.Handler      = (*follower[struct{}])(nil)
	_ client.StateHandler = (*follower[struct{}])(nil)

	_ client.LineageHandler = (*follower[struct{}])(nil)
)

func (f *follower[T]) count() { f.origin.count(&f.counted, f.stream.Counts()) }

// Lineage implements [client.LineageHandler].
func (f *follower[T]) Lineage(text string) { f.to.From(text) }

// Lost implements [client.Handler].
func (f *follower[T]) Lost(err error) {
	f.count()
	f.Follower.Lost(err)
	if f.asked {
		f.asked = false
		f.to.Marked(err)
	}
}

// Step implements [client.Handler].
func (f *follower[T]) Step(s *wire.Step) error {
	f.count()
	err := f.Follower.Step(s)
	if err == nil && f.asked {
		f.asked = false
		f.to.Marked(nil)
	}
	return err
}

// refusal translates an origin's refusal into an error for the caller who opened the
// binding.
func (o *Origin) refusal(v *live.View, p *wire.Problem) error {
	switch p.Status {
	case http.StatusBadRequest:
		if len(p.Errors) > 0 {
			return &core.ArgumentError{Binding: v.Name(), Param: p.Errors[0].Field, Detail: p.Errors[0].Detail}
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		if v.Params() != nil {
			return fmt.Errorf("followsource: origin %q: %w: %w", o.name(), p,
				&core.DeniedError{Access: core.Access{Binding: v.Name(), Params: v.Params(), Action: core.ActionRead}})
		}
	}
	return fmt.Errorf("followsource: origin %q: %w", o.name(), p)
}
