package natssource

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Config tunes a relay. The zero value of each field means its default.
type Config struct {
	// Relays says whether this node publishes the reports of the named source. The
	// default publishes the reports of every source. Leave out sources that all
	// nodes have and that see every node's commits.
	Relays func(source string) bool

	// Heartbeat is how often a node sends its last number. Within this time the
	// others notice a lost message. A node that is silent for five times as long
	// counts as missed. The default is 500 milliseconds. It must be the same on
	// all nodes.
	Heartbeat time.Duration

	// Forget is how long a node may be missed before it counts as dead. Until
	// then the bindings are stale, because the node may be writing unheard. The
	// default is 10 seconds, the minimum 5 heartbeats.
	Forget time.Duration

	// MaxKeys bounds the keys of one table in one message; beyond it the whole
	// table is published. So are all tables of a message that is too large for the
	// server. The default is 10,000.
	MaxKeys int

	// Pending bounds the received but unreported messages. Beyond it messages are
	// dropped, which the source notices by their numbers. The default is 4,096.
	Pending int

	// MaxPeers bounds the other nodes whose numbers are remembered. Messages of
	// further nodes are reported as whole tables. The default is 256.
	MaxPeers int

	// Logger gets a line when a peer comes, goes or loses messages. The default is
	// slog.Default().
	Logger *slog.Logger
}

// silentBeats is how many heartbeats a peer may skip before it is missed.
const silentBeats = 5

// WithDefaults returns a copy in which every zero field has its default.
func (c Config) WithDefaults() Config {
	if c.Relays == nil {
		c.Relays = func(string) bool { return true }
	}
	c.Heartbeat = cmp.Or(c.Heartbeat, 500*time.Millisecond)
	c.Forget = cmp.Or(c.Forget, max(10*time.Second, silentBeats*c.Heartbeat))
	c.MaxKeys = cmp.Or(c.MaxKeys, 10_000)
	c.Pending = cmp.Or(c.Pending, 4096)
	c.MaxPeers = cmp.Or(c.MaxPeers, 256)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Validate returns all mistakes in the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.Heartbeat < 0 {
		errs = append(errs, fmt.Errorf("config: Heartbeat %v is negative", c.Heartbeat))
	}
	if c.Forget < silentBeats*c.Heartbeat {
		errs = append(errs, fmt.Errorf("config: Forget %v is shorter than %d heartbeats of %v", c.Forget, silentBeats, c.Heartbeat))
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"MaxKeys", c.MaxKeys}, {"Pending", c.Pending}, {"MaxPeers", c.MaxPeers}} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("config: %s %d is negative", n.name, n.value))
		}
	}
	return errors.Join(errs...)
}
