package nats

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/wire"
)

// markWait bounds how long a follower's question is held, maxAsked the questions about one
// binding that are held at a time. The wait is short because a follower whose question was
// lost asks again only when it cannot be held any more.
const (
	markWait = time.Second
	maxAsked = 64
)

// question is a follower's question about a mark that the binding has reached.
type question struct {
	msg     *natsgo.Msg
	lineage string
}

// answerMarks holds the questions of followers, where in the stream a mark is reached, until
// the binding shows what the mark covers. Then it passes them on to be answered once that
// is published. It returns when ctx is done.
func (p *publisher) answerMarks(ctx context.Context, grant *core.Grant, questions <-chan *natsgo.Msg) {
	var held sync.WaitGroup
	defer held.Wait()
	room := make(chan struct{}, maxAsked)
	for {
		var m *natsgo.Msg
		select {
		case m = <-questions:
		case <-ctx.Done():
			return
		}
		select {
		case room <- struct{}{}:
		default:
			respond(m, wire.MarkAnswer{Problem: wire.MarkLate}) // it asks again
			continue
		}
		held.Go(func() {
			defer func() { <-room }()
			p.answerMark(ctx, grant, m)
		})
	}
}

func (p *publisher) answerMark(ctx context.Context, grant *core.Grant, m *natsgo.Msg) {
	waiting, cancel := context.WithTimeout(ctx, markWait)
	defer cancel()
	lineage := grant.Lineage()
	switch err := grant.Reach(waiting, string(m.Data)); {
	case errors.Is(err, core.ErrForeignMark), errors.Is(err, core.ErrMalformedMark):
		respond(m, wire.MarkAnswer{Problem: wire.MarkForeign})
	case err != nil:
		respond(m, wire.MarkAnswer{Problem: wire.MarkLate})
	default:
		select {
		case p.reached <- question{m, lineage}:
		case <-ctx.Done(): // it asks again
		}
	}
}

// answerReached answers the questions whose marks were reached before everything that was
// there to publish was published.
func (p *publisher) answerReached() {
	for _, q := range p.asked {
		respond(q.msg, wire.MarkAnswer{Seq: p.seq, Lineage: q.lineage})
	}
	clear(p.asked)
	p.asked = p.asked[:0]
}

// respond answers. An answer that is lost is asked for again.
func respond(m *natsgo.Msg, a wire.MarkAnswer) {
	if raw, err := json.Marshal(a); err == nil {
		_ = m.Respond(raw)
	}
}
