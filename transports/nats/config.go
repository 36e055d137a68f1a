package nats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binderyhq/bindery/core/wire"
)

// Config tunes the transport. The zero value of each field means its default.
type Config struct {
	// Stream is the name of the JetStream stream, Prefix the first part of its
	// subjects. The defaults are "BINDERY" and "bindery". Followers use the same names.
	Stream, Prefix string
	// Storage and Replicas are settings of the stream, which is created or updated. The
	// defaults are files and one replica.
	Storage  jetstream.StorageType
	Replicas int

	// Bindings names the bindings to publish. The default is all bindings without
	// parameters. Members names members of families, as "shelf?venue=store".
	Bindings, Members []string
	// Context identifies the readers of the stream to the authorizer. Only its values
	// count. The default is the background context.
	Context context.Context //nolint:containedctx // it says who reads
	// HiddenOrder also publishes bindings whose rows do not show the columns that they
	// are ordered by, see sse.Config.
	HiddenOrder bool

	// Beat is how often the publisher shows that it is alive. The default is 2 seconds.
	// Another node takes over after three intervals without a beat.
	Beat time.Duration
	// AckTimeout bounds the wait until the server has stored one message. The default
	// is 5 seconds.
	AckTimeout time.Duration
	// MinSnapshot is how many bytes of changes are published at least before a new
	// snapshot. If the last snapshot is larger, its size counts instead. The default is
	// 1 MiB.
	MinSnapshot int

	// PageRows and MessageBytes bound one message. The defaults are 1,000 rows and
	// 256 KiB; the server's max_payload (1 MiB by default) bounds it as well.
	PageRows, MessageBytes int
}

// WithDefaults returns a copy in which every zero field has its default.
func (c Config) WithDefaults() Config {
	c.Stream, c.Prefix = cmp.Or(c.Stream, "BINDERY"), cmp.Or(c.Prefix, "bindery")
	c.Replicas = cmp.Or(c.Replicas, 1)
	if c.Context == nil {
		c.Context = context.Background()
	}
	c.Beat = cmp.Or(c.Beat, 2*time.Second)
	c.AckTimeout = cmp.Or(c.AckTimeout, 5*time.Second)
	c.MinSnapshot = cmp.Or(c.MinSnapshot, 1<<20)
	c.PageRows = cmp.Or(c.PageRows, wire.DefaultRows)
	c.MessageBytes = cmp.Or(c.MessageBytes, wire.DefaultBytes)
	return c
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// Validate returns everything that is wrong with the configuration.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var errs []error
	if !plainName.MatchString(c.Prefix) || !plainName.MatchString(c.Stream) {
		errs = append(errs, fmt.Errorf("config: Stream %q, Prefix %q: want letters, digits, - and _", c.Stream, c.Prefix))
	}
	if c.Beat < 0 || c.AckTimeout < 0 || c.MinSnapshot < 0 || c.Replicas < 0 {
		errs = append(errs, errors.New("config: Beat, AckTimeout, MinSnapshot or Replicas is negative"))
	}
	if err := c.limits().Validate(); err != nil {
		errs = append(errs, fmt.Errorf("config: %w", err))
	}
	return errors.Join(errs...)
}

func (c Config) limits() wire.Limits { return wire.Limits{Rows: c.PageRows, Bytes: c.MessageBytes} }
