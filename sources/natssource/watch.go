package natssource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binderyhq/bindery/core/driver"
)

// watch is one call of Watch: it listens, and tells the sink.
type watch struct {
	*Relay
	sink     driver.Sink
	inbox    chan *nats.Msg
	watching bool
	greeting bool // all tables will be read anyway
}

// greetingTime is how long the source waits for the other nodes' answers before it
// watches. A later answer costs a read of all tables.
const greetingTime = 50 * time.Millisecond

func (w *watch) run(ctx context.Context) error {
	w.inbox = make(chan *nats.Msg, w.cfg.Pending)
	status := w.conn.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
	defer w.conn.RemoveStatusListener(status)
	sub, err := w.conn.ChanSubscribe(w.subject, w.inbox)
	if err != nil {
		return fmt.Errorf("subscribing to %q: %w", w.subject, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := w.begin(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(w.cfg.Heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-w.inbox:
			w.receive(m.Data)
		case <-tick.C:
			if w.conn.IsConnected() {
				if !w.watching && w.connected() {
					if err := w.begin(ctx); err != nil {
						return err
					}
				}
				w.look()
			}
		case s := <-status:
			switch {
			case s == nats.CLOSED:
				return errors.New("the connection is closed")
			case s != nats.CONNECTED:
				w.lose(errors.New("the connection to NATS is lost"))
			default:
				if err := w.begin(ctx); err != nil {
					return err
				}
			}
		}
	}
}

// begin makes the source watch: it waits until the server has the subscription, and
// asks the others for their numbers.
func (w *watch) begin(ctx context.Context) error {
	if !w.conn.IsConnected() && !w.conn.IsClosed() {
		w.lose(errors.New("there is no connection to NATS yet"))
		return nil // the next status, or the next beat, tries again
	}
	ctx, cancel := context.WithTimeout(ctx, silentBeats*w.cfg.Heartbeat+time.Second)
	defer cancel()
	if err := w.conn.FlushWithContext(ctx); err != nil {
		if w.conn.IsClosed() {
			return fmt.Errorf("subscribing to %q: %w", w.subject, err)
		}
		w.lose(fmt.Errorf("the server does not answer: %w", err))
		return nil // the next status, or the next beat, tries again
	}
	if err := w.send(message{Kind: kindHello}); err != nil {
		return fmt.Errorf("asking the other nodes: %w", err)
	}
	w.peers.greet(true)
	w.greet(ctx)
	w.peers.excuse(time.Now())
	w.watching = true
	w.sink.Watching()
	w.peers.greet(false)
	return nil
}

// greet takes the others' answers. It accepts any number, because the commits up to it
// are older than the full read that follows.
func (w *watch) greet(ctx context.Context) {
	w.greeting = true
	defer func() { w.greeting = false }()
	timer := time.NewTimer(greetingTime)
	defer timer.Stop()
	for {
		select {
		case m := <-w.inbox:
			w.receive(m.Data)
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// connected reports whether no peer is missed.
func (w *watch) connected() bool {
	_, missed := w.peers.count()
	return missed == 0
}

// lose tells the sink that other nodes' commits may go unreported.
func (w *watch) lose(err error) {
	w.watching = false
	w.sink.Lost(err)
}

// everything has all tables read again.
func (w *watch) everything() {
	if !w.greeting { // else they are read anyway
		w.sink.Report(driver.Change{})
	}
}

func (w *watch) receive(data []byte) {
	m, changes, err := decode(data)
	if m.Node == w.node {
		return
	}
	w.received.Add(1)
	if err != nil {
		w.unreadable.Add(1)
		if m.Node == "" || w.peers.warn(m.Node) {
			w.cfg.Logger.Warn("natssource: a message cannot be read; all tables are read again", slog.String("id", "natssource-unreadable"), slog.Any("error", err))
		}
		if m.Node != "" {
			w.peers.heard(m.Node, m.Seq, m.Kind == kindReport, time.Now())
		}
		w.everything()
		if m.Node != "" {
			w.peers.reported(m.Node, m.Seq)
		}
		return
	}
	if m.Kind == kindHello {
		_ = w.send(message{Kind: kindBeat, Seq: w.out.last()}) // a beat that is lost is followed by others
		return
	}
	v, isNew := w.peers.heard(m.Node, m.Seq, m.Kind == kindReport, time.Now())
	if isNew {
		w.cfg.Logger.Info("natssource: another node is heard", slog.String("id", "natssource-node-heard"), slog.String("node", m.Node))
	}
	switch {
	case v == repeated:
	case v == expected:
		if len(changes) > 0 {
			w.sink.Report(changes...)
		}
	default:
		if !isNew && v == missing {
			w.gaps.Add(1)
			w.cfg.Logger.Warn("natssource: reports of a node were lost; all tables are read again", slog.String("id", "natssource-reports-lost"),
				slog.String("node", m.Node), slog.Uint64("number", m.Seq))
		}
		w.everything()
	}
	w.peers.reported(m.Node, m.Seq)
	if m.Kind == kindBye {
		w.peers.left(m.Node)
		w.cfg.Logger.Info("natssource: another node has left", slog.String("id", "natssource-node-left"), slog.String("node", m.Node))
	}
}

// look tells the sink which peer is missed, and drops peers that count as dead.
func (w *watch) look() {
	missed, dead := w.peers.check(time.Now())
	for _, node := range dead {
		w.cfg.Logger.Warn("natssource: a node is silent and counts as dead; all tables are read again", slog.String("id", "natssource-node-silent"),
			slog.String("node", node), slog.Duration("silent", w.cfg.Forget))
		w.everything()
	}
	if missed != "" && w.watching {
		w.lose(fmt.Errorf("node %s has not been heard for %v", missed, silentBeats*w.cfg.Heartbeat))
	}
}
