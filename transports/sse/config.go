package sse

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/wire"
)

// Config tunes the transport. In each field zero means the default.
type Config struct {
	// Heartbeat is how long a stream may be silent before a comment line is sent. The
	// comment keeps proxies from closing the stream, and finds clients that have vanished.
	// The default is 15 seconds; negative sends none. Streams of followers (docs/protocol.md)
	// are never silent for longer than 2 seconds.
	Heartbeat time.Duration

	// Retry is how long clients wait before they reconnect. Each is told a time between
	// half and one and a half of it, so that they do not all come at once after a restart.
	// The default is 2 seconds; negative leaves it to the client.
	Retry time.Duration

	// WriteTimeout bounds the writing of one event of at most MessageBytes. A client that
	// has not taken the event by then is disconnected, up to a quarter of the time later.
	// The default is 10 seconds.
	WriteTimeout time.Duration

	// DrainTimeout bounds how long Shutdown lets streams finish the batch
	// that is being written. The default is 2 seconds.
	DrainTimeout time.Duration

	// MaxStreams bounds the streams open at a time; further ones get 503. The default is
	// 10,000; negative means no bound.
	MaxStreams int

	// MaxBindings bounds the bindings of one stream. The stream's id must fit into a
	// header: it holds the tokens of all of them, of 23 bytes each. The default is 64.
	MaxBindings int

	// PageRows bounds the rows of one event. The default is 1,000.
	PageRows int

	// MessageBytes bounds the data of one event, in bytes; a single row that
	// is longer is sent nevertheless. The default is 256 KiB, the minimum
	// 1 KiB.
	MessageBytes int

	// HiddenOrder lets other nodes follow bindings whose rows do not show the columns that
	// they are ordered by (docs/protocol.md, "Followers"). Followers are then sent these
	// values, though clients are not. The default refuses such followers with 403.
	HiddenOrder bool
}

// WithDefaults returns a copy with the default in every zero field.
func (c Config) WithDefaults() Config {
	c.Heartbeat = cmp.Or(c.Heartbeat, 15*time.Second)
	c.Retry = cmp.Or(c.Retry, 2*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 10*time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 2*time.Second)
	c.MaxStreams = cmp.Or(c.MaxStreams, 10_000)
	c.MaxBindings = cmp.Or(c.MaxBindings, 64)
	c.PageRows = cmp.Or(c.PageRows, wire.DefaultRows)
	c.MessageBytes = cmp.Or(c.MessageBytes, wire.DefaultBytes)
	return c
}

// Validate returns everything that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.WriteTimeout < 0 {
		errs = append(errs, fmt.Errorf("config: WriteTimeout %v is negative", c.WriteTimeout))
	}
	if c.DrainTimeout < 0 {
		errs = append(errs, fmt.Errorf("config: DrainTimeout %v is negative", c.DrainTimeout))
	}
	if c.MaxBindings < 0 {
		errs = append(errs, fmt.Errorf("config: MaxBindings %d is negative", c.MaxBindings))
	}
	if err := c.limits().Validate(); err != nil {
		errs = append(errs, fmt.Errorf("config: %w", err))
	}
	return errors.Join(errs...)
}

func (c Config) limits() wire.Limits { return wire.Limits{Rows: c.PageRows, Bytes: c.MessageBytes} }
