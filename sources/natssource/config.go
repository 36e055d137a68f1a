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
	// Relays tells whether what the named source of this node reports is
	// published. The default publishes what every source reports; leave out
	// sources that all nodes have and that see every node's commits.
	Relays func(source string) bool

	// Heartbeat is how often a node tells its last number. A message that was
	// lost is found within this time, and a node that is silent for
	// five times as long is missed. The default is 500 milliseconds. It
	// must be alike on all nodes.
	Heartbeat time.Duration

	// Forget is how long a node may be missed before it counts as dead. Until
	// then the bindings are stale, since it may be writing without being
	// heard. The default is 10 seconds, and the least 5 heartbeats.
	Forget time.Duration

	// MaxKeys bounds the keys of one table in one message; beyond it the whole
	// table is published. A message that would be larger than the server
	// takes is published so as well. The default is 10,000.
	MaxKeys int

	// Pending bounds the messages that were received and not reported yet;
	// more are dropped, and found by their numbers. The default is 4,096.
	Pending int

	// MaxPeers bounds the other nodes that are told apart. What more
	// nodes publish is reported as whole tables. The default is 256.
	MaxPeers int

	// Logger is told of peers that come and go and of what was lost. The
	// default is slog.Default().
	Logger *slog.Logger
}

// silentBeats is how many heartbeats a peer may leave out before it is missed.
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

// Validate returns everything that is wrong with the configuration.
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
