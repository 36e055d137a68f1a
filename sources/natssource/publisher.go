package natssource

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
)

// Publisher publishes the reports of this node's sources. It is a plugin, see
// [Relay.Publisher].
type Publisher struct {
	relay *Relay

	mu     sync.Mutex // guards what follows
	cancel context.CancelFunc
	done   chan struct{}
}

var (
	_ core.Plugin         = (*Publisher)(nil)
	_ core.ReportObserver = (*Publisher)(nil)
)

// Publisher returns a new plugin that publishes for this node. A registry uses one.
func (r *Relay) Publisher() *Publisher { return &Publisher{relay: r} }

// Name implements [core.Plugin].
func (p *Publisher) Name() string { return "natssource" }

// Validate returns all mistakes in the relay's configuration, see
// [driver.Validator].
func (p *Publisher) Validate() error { return p.relay.Validate() }

// Start implements [core.Plugin].
func (p *Publisher) Start(_ context.Context, _ *core.Registry) error {
	if err := p.relay.Validate(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancel, p.done = cancel, make(chan struct{})
	go p.run(ctx, p.done)
	return nil
}

// Shutdown implements [core.Plugin]. It publishes earlier reports, and then tells the
// other nodes that this one leaves.
func (p *Publisher) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	cancel, done := p.cancel, p.done
	p.mu.Unlock()
	if cancel == nil {
		return nil
	}
	cancel()
	select {
	case <-done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if !p.relay.conn.IsConnected() {
		return nil // the farewell is lost; the others will miss this node
	}
	return p.relay.conn.FlushWithContext(ctx)
}

// Reported implements [core.ReportObserver].
func (p *Publisher) Reported(by driver.Source, changes []driver.Change) {
	if _, relayed := by.(*Relay); relayed || !p.relay.cfg.Relays(by.Name()) {
		return
	}
	p.relay.out.add(changes)
}

func (p *Publisher) run(ctx context.Context, done chan struct{}) {
	defer close(done)
	r := p.relay
	beat := time.NewTicker(r.cfg.Heartbeat)
	defer beat.Stop()
	_ = r.send(message{Kind: kindBeat}) // so that the others know its first number
	for {
		select {
		case <-r.out.wake:
			p.publish()
		case <-beat.C:
			_ = r.send(message{Kind: kindBeat, Seq: r.out.last()})
		case <-ctx.Done():
			p.publish()
			_ = r.send(message{Kind: kindBye, Seq: r.out.last()})
			return
		}
	}
}

// publish sends the gathered changes. If the connection refuses a message, or the
// server never gets it, the others notice that its number is missing.
func (p *Publisher) publish() {
	r := p.relay
	seq, changes := r.out.take()
	if seq == 0 {
		return
	}
	m := message{Kind: kindReport, Seq: seq}
	for _, c := range changes {
		m.Changes = append(m.Changes, changeOf(c))
	}
	if size, err := m.size(); err == nil && int64(size) > r.conn.MaxPayload() {
		m.widen()
	}
	if err := r.send(m); err != nil {
		r.refused.Add(1)
		r.cfg.Logger.Warn("natssource: a report was not published; the other nodes will read their tables again", slog.String("id", "natssource-unpublished"),
			slog.Uint64("number", seq), slog.Any("error", err))
		return
	}
	r.published.Add(1)
}
