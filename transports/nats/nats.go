package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/wire"
)

// Transport publishes bindings over JetStream. It is made by [New] and given to
// [core.Registry.Serve].
type Transport struct {
	conn  *natsgo.Conn
	cfg   Config
	extra bool // more than one configuration is given
	enc   *wire.Encoder
	id    string // tells this publisher from others

	reg    *core.Registry
	js     jetstream.JetStream
	cancel context.CancelFunc
	ended  chan struct{}

	publishing                           atomic.Int64
	messages, bytes, snapshots, failures atomic.Uint64
}

var (
	_ core.Transport      = (*Transport)(nil)
	_ core.StatusReporter = (*Transport)(nil)
)

// New returns a transport that publishes over the connection. The caller closes the
// connection after the registry's Shutdown. At most one configuration may be given.
// [core.Registry.Start] reports errors in it.
func New(conn *natsgo.Conn, cfg ...Config) *Transport {
	t := &Transport{conn: conn, extra: len(cfg) > 1, id: nuid.Next(), ended: make(chan struct{})}
	if len(cfg) > 0 {
		t.cfg = cfg[0]
	}
	t.cfg = t.cfg.WithDefaults()
	t.enc = wire.NewReplicaEncoder(t.cfg.limits())
	return t
}

// Name implements [core.Transport].
func (*Transport) Name() string { return "nats" }

// Validate returns every error in the configuration, see [driver.Validator].
func (t *Transport) Validate() error {
	switch {
	case t.conn == nil:
		return errors.New("nats: the connection is nil")
	case t.extra:
		return errors.New("nats: more than one configuration is given")
	}
	if err := t.cfg.Validate(); err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	return nil
}

// Mount implements [core.Transport].
func (t *Transport) Mount(reg *core.Registry) error {
	if err := t.Validate(); err != nil {
		return err
	}
	js, err := jetstream.New(t.conn, jetstream.WithDefaultTimeout(t.cfg.AckTimeout))
	if err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	t.reg, t.js = reg, js
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.cfg.Context))
	t.cancel = cancel
	go func() {
		defer close(t.ended)
		t.run(ctx)
	}()
	return nil
}

// Shutdown implements [core.Transport].
func (t *Transport) Shutdown(ctx context.Context) error {
	if t.cancel == nil {
		return nil
	}
	t.cancel()
	select {
	case <-t.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("nats: waiting for publishers to end: %w", ctx.Err())
	}
}

// Stats counts publications since the program started.
type Stats struct {
	// Publishing is how many bindings this node publishes now.
	Publishing int
	// Messages counts the messages that the server has stored, Bytes their length,
	// Snapshots the syncs among them. Failures counts how often publishing had to begin
	// anew.
	Messages, Bytes, Snapshots, Failures uint64
}

// Stats returns the counters. It may be called at any time.
func (t *Transport) Stats() Stats {
	return Stats{int(t.publishing.Load()), t.messages.Load(), t.bytes.Load(), t.snapshots.Load(), t.failures.Load()}
}

// Status returns the counters that all transports have, see [core.StatusReporter].
func (t *Transport) Status() status.Transport {
	return status.Transport{Open: int(t.publishing.Load()), Dropped: t.failures.Load()}
}

// run starts and stops publishers as bindings come and go, until ctx is done.
func (t *Transport) run(ctx context.Context) {
	var publishers sync.WaitGroup
	defer publishers.Wait()
	running := make(map[string]context.CancelFunc)
	for {
		changed := t.reg.Changed()
		wanted := t.wanted()
		for id, cancel := range running {
			if !slices.Contains(wanted, id) {
				cancel()
				delete(running, id)
			}
		}
		for _, id := range wanted {
			if running[id] != nil {
				continue
			}
			one, cancel := context.WithCancel(ctx)
			running[id] = cancel
			publishers.Go(func() { t.publisher(id).run(one) })
		}
		select {
		case <-changed:
		case <-ctx.Done():
			for _, cancel := range running {
				cancel()
			}
			return
		}
	}
}

// wanted returns the ids of the bindings and members to publish.
func (t *Transport) wanted() []string {
	ids := slices.Clone(t.cfg.Members)
	for _, v := range t.reg.Views() {
		if len(v.Params()) > 0 || slices.Contains(ids, v.Name()) {
			continue
		}
		if t.cfg.Bindings == nil || slices.Contains(t.cfg.Bindings, v.Name()) {
			ids = append(ids, v.Name())
		}
	}
	return ids
}

func (t *Transport) publisher(id string) *publisher {
	name, query, _ := strings.Cut(id, "?")
	values, _ := url.ParseQuery(query) // Registry.Open reports a malformed one
	return &publisher{
		t: t, id: id, binding: name, args: core.QueryArgs(values), subjects: wire.SubjectsOf(t.cfg.Prefix, id),
		log: t.reg.Logger().With(slog.String("binding", id)),
	}
}
