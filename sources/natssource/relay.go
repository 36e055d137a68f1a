package natssource

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/binderyhq/bindery/core/driver"
)

// Relay connects this node with the others that use the same subject. It is a
// [driver.Source] that reports what they publish; [Relay.Publisher] publishes the
// reports of this node's own sources. All methods may be called from any goroutine.
type Relay struct {
	conn    *nats.Conn
	subject string
	cfg     Config
	extra   bool   // more than one configuration is given
	node    string // random, so that a node that restarts is another one

	out   *outbox
	peers *peers

	received, unreadable, gaps atomic.Uint64
	published, refused         atomic.Uint64
	hello                      atomic.Int64 // when the others were asked last for a mark, in nanoseconds
}

var (
	_ driver.Source    = (*Relay)(nil)
	_ driver.Validator = (*Relay)(nil)
)

// New returns the relay of the nodes that publish on the subject, for example
// "shop.changes". The connection stays the application's: connect it with
// nats.MaxReconnects(-1), and close it after [core.Registry.Shutdown]. A
// configuration is optional; what is wrong with it is reported at Start.
func New(conn *nats.Conn, subject string, cfg ...Config) *Relay {
	var c Config
	if len(cfg) > 0 {
		c = cfg[0]
	}
	c = c.WithDefaults()
	return &Relay{
		conn: conn, subject: subject, cfg: c, extra: len(cfg) > 1, node: rand.Text()[:nodeIDLength],
		out: newOutbox(c.MaxKeys), peers: newPeers(c),
	}
}

// nodeIDLength is the length of a node's name: 60 bits of randomness.
const nodeIDLength = 12

// Name implements [driver.Source].
func (r *Relay) Name() string { return "natssource" }

// Validate implements [driver.Validator].
func (r *Relay) Validate() error {
	var errs []error
	if r.extra {
		errs = append(errs, errors.New("natssource: more than one configuration is given"))
	}
	if r.conn == nil {
		errs = append(errs, errors.New("natssource: its connection is nil"))
	}
	if r.subject == "" || strings.ContainsAny(r.subject, " \t\r\n*>") || strings.HasPrefix(r.subject, ".") ||
		strings.HasSuffix(r.subject, ".") || strings.Contains(r.subject, "..") {
		errs = append(errs, fmt.Errorf("natssource: subject %q: must consist of non-empty words separated by dots, without wildcards", r.subject))
	}
	if err := r.cfg.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("natssource: %w", err))
	}
	return errors.Join(errs...)
}

// Stats counts what a relay has done since it was made.
type Stats struct {
	// Published counts the reports sent, Refused those that the connection
	// refused: peers miss their numbers.
	Published, Refused uint64
	// Received counts the messages of other nodes, Unreadable those
	// that could not be decoded, Gaps how often a number was missing.
	Received, Unreadable, Gaps uint64
	// Peers is how many other nodes are known, Missed how many of them are
	// silent.
	Peers, Missed int
}

// Stats returns the counters.
func (r *Relay) Stats() Stats {
	s := Stats{
		Published: r.published.Load(), Refused: r.refused.Load(),
		Received: r.received.Load(), Unreadable: r.unreadable.Load(), Gaps: r.gaps.Load(),
	}
	s.Peers, s.Missed = r.peers.count()
	return s
}

func (r *Relay) send(m message) error {
	m.Version, m.Node = protocol, r.node
	data, err := m.encoded()
	if err != nil {
		return err
	}
	return r.conn.Publish(r.subject, data)
}

// Watch implements [driver.Source].
func (r *Relay) Watch(ctx context.Context, sink driver.Sink) error {
	return (&watch{Relay: r, sink: sink}).run(ctx)
}
