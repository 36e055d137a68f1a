package ndjson

import (
	"errors"
	"fmt"
	"time"
)

// Config tunes the transport. The zero value of each field means its default.
type Config struct {
	// MaxStreams bounds the streams open at a time; more are answered 503. The
	// default is 1,000.
	MaxStreams int

	// WriteTimeout bounds the writing of one piece of a stream, a few
	// kilobytes or a row that is longer. The client is disconnected when it has
	// not taken it by then. The default is 10 seconds.
	WriteTimeout time.Duration

	// Heartbeat is how long a stream may be silent before an empty line is
	// sent, which keeps proxies from closing it. The default is 15 seconds.
	Heartbeat time.Duration

	// DrainTimeout bounds how long Shutdown lets streams finish the batch that
	// is being written. The default is 2 seconds.
	DrainTimeout time.Duration
}

// WithDefaults returns a copy in which every zero field has its default.
func (c Config) WithDefaults() Config {
	if c.MaxStreams == 0 {
		c.MaxStreams = 1000
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 10 * time.Second
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = 15 * time.Second
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 2 * time.Second
	}
	return c
}

// Validate returns everything that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.MaxStreams < 0 {
		errs = append(errs, fmt.Errorf("config: MaxStreams %d is negative", c.MaxStreams))
	}
	if c.WriteTimeout < 0 {
		errs = append(errs, fmt.Errorf("config: WriteTimeout %v is negative", c.WriteTimeout))
	}
	if c.Heartbeat < 0 {
		errs = append(errs, fmt.Errorf("config: Heartbeat %v is negative", c.Heartbeat))
	}
	if c.DrainTimeout < 0 {
		errs = append(errs, fmt.Errorf("config: DrainTimeout %v is negative", c.DrainTimeout))
	}
	return errors.Join(errs...)
}
