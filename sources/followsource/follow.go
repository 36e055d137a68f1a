package followsource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/binderyhq/bindery/client"
	"github.com/binderyhq/bindery/core"
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
	stream, err := client.NewStream(l.origin.events, l.Table.Name, l.origin.cfg.client(params))
	if err != nil {
		return err
	}
	f := &follower[T]{Follower: replicate.New[T](to, l.Table, &l.origin.counts), origin: l.origin, stream: stream}
	defer f.count()
	err = stream.Run(ctx, f)
	var refused *wire.Problem
	if errors.As(err, &refused) {
		err = l.origin.refusal(to.View(), refused)
	}
	return err
}

// follower counts what its stream has seen.
type follower[T any] struct {
	*replicate.Follower[T]
	origin  *Origin
	stream  *client.Stream
	counted client.Counts
}

var (
	_ client.Handler      = (*follower[struct{}])(nil)
	_ client.StateHandler = (*follower[struct{}])(nil)
)

func (f *follower[T]) count() { f.origin.count(&f.counted, f.stream.Counts()) }

// Lost implements [client.Handler].
func (f *follower[T]) Lost(err error) {
	f.count()
	f.Follower.Lost(err)
}

// Step implements [client.Handler].
func (f *follower[T]) Step(s *wire.Step) error {
	f.count()
	return f.Follower.Step(s)
}

// refusal says what an origin's refusal means for who has asked for the binding.
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
