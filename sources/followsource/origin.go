package followsource

import (
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"

	"github.com/binderyhq/bindery/core/client"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/sources/internal/replicate"
)

// Origin is a node whose bindings are followed. It serves any number of bindings, and
// may be used from any goroutine.
type Origin struct {
	events string
	cfg    Config
	err    error // the mistakes in New's arguments; Start reports them

	counts replicate.Counts

	resyncs, connects, failures, bytes atomic.Uint64
}

// New returns the origin whose event streams have the address
// ("http://origin:8080/events"). It does no input or output. It takes at most one
// configuration. [core.Registry.Start] reports mistakes in the arguments.
func New(events string, cfg ...Config) *Origin {
	o := &Origin{events: events}
	if len(cfg) > 0 {
		o.cfg = cfg[0]
	}
	o.cfg = o.cfg.WithDefaults()
	if len(cfg) > 1 {
		o.err = errors.New("more than one configuration is given")
		return o
	}
	if _, err := client.NewStream(events, "any", o.cfg.client(nil)); err != nil {
		o.err = err
	}
	return o
}

// name returns the origin's name as a database: its address without secrets.
func (o *Origin) name() string {
	u, err := url.Parse(o.events)
	if err != nil {
		return "origin"
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}

// check returns the mistakes in the arguments of New.
func (o *Origin) check() error {
	if o.err == nil {
		return nil
	}
	return fmt.Errorf("followsource: origin %q: %w", o.name(), o.err)
}

// Status implements [core.Origin]: the counters over ended and open streams.
func (o *Origin) Status() status.Origin {
	return status.Origin{
		Name:  o.name(),
		Steps: o.counts.Steps.Load(), Syncs: o.counts.Syncs.Load(), Mismatches: o.counts.Mismatches.Load(), Resyncs: o.resyncs.Load(),
		Connects: o.connects.Load(), Failures: o.failures.Load(), Bytes: o.bytes.Load(),
	}
}

// count adds the growth of a stream's counters since the last call.
func (o *Origin) count(last *client.Counts, now client.Counts) {
	o.connects.Add(now.Connects - last.Connects)
	o.failures.Add(now.Failures - last.Failures)
	o.resyncs.Add(now.Resyncs - last.Resyncs)
	o.bytes.Add(now.Bytes - last.Bytes)
	*last = now
}
