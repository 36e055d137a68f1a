package jetsource

import (
	"cmp"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/sources/internal/replicate"
)

// Config tunes an origin. The zero value of each field means its default.
type Config struct {
	// Stream is the name of the JetStream stream, Prefix what its subjects begin
	// with. The defaults are "BINDERY" and "bindery", as the publisher's.
	Stream, Prefix string
	// Silence is how long no publisher may be heard before the binding is stale. The
	// default is 7 seconds, three beats of a publisher and a little.
	Silence time.Duration
	// Timeout bounds single requests to the server. The default is 5 seconds.
	Timeout time.Duration
	// MaxBytes bounds one batch, in bytes of JSON. The default is 1 GiB.
	MaxBytes int
}

// WithDefaults returns a copy in which every zero field has its default.
func (c Config) WithDefaults() Config {
	c.Stream, c.Prefix = cmp.Or(c.Stream, "BINDERY"), cmp.Or(c.Prefix, "bindery")
	c.Silence, c.Timeout = cmp.Or(c.Silence, 7*time.Second), cmp.Or(c.Timeout, 5*time.Second)
	return c
}

// Validate returns everything that is wrong with the configuration.
func (c Config) Validate() error {
	if c.Silence < 0 || c.Timeout < 0 || c.MaxBytes < 0 {
		return errors.New("config: Silence, Timeout or MaxBytes is negative")
	}
	return nil
}

// Origin is a stream of bindings that are followed. It may be used for any number of
// them, and from any goroutine.
type Origin struct {
	conn *nats.Conn
	cfg  Config
	err  error // with the arguments of New; Start reports it

	counts             replicate.Counts
	snapshots, resyncs atomic.Uint64
}

// New returns the origin that publishes over the connection, which stays the
// caller's. At most one configuration may be given; what is wrong is reported by
// [core.Registry.Start].
func New(conn *nats.Conn, cfg ...Config) *Origin {
	o := &Origin{conn: conn}
	if len(cfg) > 0 {
		o.cfg = cfg[0]
	}
	switch o.err = o.cfg.Validate(); {
	case conn == nil:
		o.err = errors.New("the connection is nil")
	case len(cfg) > 1:
		o.err = errors.New("more than one configuration is given")
	}
	if o.err != nil {
		o.err = fmt.Errorf("jetsource: %w", o.err)
	}
	o.cfg = o.cfg.WithDefaults()
	return o
}

// name returns the origin's name, which is the database of its bindings' tables.
func (o *Origin) name() string { return "jetstream:" + o.cfg.Stream + "/" + o.cfg.Prefix }

// Status implements [core.Origin].
func (o *Origin) Status() status.Origin {
	return status.Origin{
		Name:  o.name(),
		Steps: o.counts.Steps.Load(), Syncs: o.counts.Syncs.Load(), Mismatches: o.counts.Mismatches.Load(),
		Resyncs: o.resyncs.Load(), Snapshots: o.snapshots.Load(),
	}
}

// Bind declares a binding whose rows are those of the origin's binding with the same
// name. T is what a row's JSON is decoded into: a struct, or [json.RawMessage] for
// programs that do not look. Of the options [core.Tune] alone has an effect.
func Bind[T any](o *Origin, name string, opts ...core.Option) *core.Binding[T] {
	return core.Bind[T](name, newLoader[T](o, name), opts...)
}

// BindFamily declares a family whose members are those of the origin's family with
// the same name. The options declare its parameters: [core.Where] with a filter in
// which they are compared with fields of T, as at the origin.
func BindFamily[T any](o *Origin, name string, opts ...core.Option) *core.Family[T] {
	return core.BindFamily[T](name, newLoader[T](o, name), opts...)
}

// loader describes rows of T, and replicates.
type loader[T any] struct {
	*replicate.Loader[T]
	origin    *Origin
	positions positions
}

var (
	_ driver.Loader[struct{}] = (*loader[struct{}])(nil)
	_ core.Replicator         = (*loader[struct{}])(nil)
	_ core.OriginReporter     = (*loader[struct{}])(nil)
)

// Origin implements [core.OriginReporter].
func (l *loader[T]) Origin() core.Origin {
	if l.origin == nil {
		return nil
	}
	return l.origin
}

func newLoader[T any](o *Origin, binding string) *loader[T] {
	if o == nil {
		return &loader[T]{Loader: replicate.NewLoader[T]("", binding, errors.New("jetsource: its origin is nil"))}
	}
	return &loader[T]{Loader: replicate.NewLoader[T](o.name(), binding, o.err), origin: o}
}
