package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/binderyhq/bindery/core/wire"
)

// Config configures a client. The zero value of each field means its default.
type Config struct {
	// Params select a member of a family, as in its URL: {"venue": {"store"}}.
	Params url.Values
	// Key lists the fields of the rows' key. The default is "id".
	Key []string

	// Header returns the headers for each request: a token that may have been renewed since
	// the last one, for example. An error counts as a failed connection. nil adds none.
	// After a 401 it is called once more before the 401 counts as a refusal.
	Header func(ctx context.Context) (http.Header, error)
	// HTTP makes the requests. Its Timeout must be 0, since it would end streams. The
	// default is a client of its own, whose connections are closed with it.
	HTTP *http.Client

	// MinWait and MaxWait bound the waits before reconnecting. The first wait is random
	// within MinWait, or within the wait that the server sent; each further one within
	// twice the previous range, up to MaxWait. The defaults are 500 milliseconds and 30
	// seconds.
	MinWait, MaxWait time.Duration
	// Silence is how long a connection may be silent, without even a heartbeat, before the
	// client drops it. The default is 45 seconds, three of a server's heartbeats; negative
	// waits for ever.
	Silence time.Duration

	// MaxEvent bounds one event, and MaxBytes one batch and the rows that [Rows] holds, in
	// bytes of JSON. The defaults are 64 MiB and 1 GiB. A batch or an event beyond its
	// bound counts as malformed; rows beyond it close the client with [ErrTooLarge].
	MaxEvent, MaxBytes int

	// Replica requests the additional data for followers, see [wire.Replica].
	Replica bool
}

// ErrTooLarge closes a client whose rows exceed Config.MaxBytes.
var ErrTooLarge = errors.New("client: the rows are more than the client may hold")

// WithDefaults returns a copy with defaults in place of zero fields, except HTTP.
func (c Config) WithDefaults() Config {
	if c.Key == nil {
		c.Key = []string{"id"}
	}
	c.MinWait = cmp.Or(c.MinWait, 500*time.Millisecond)
	c.MaxWait = cmp.Or(c.MaxWait, 30*time.Second)
	c.Silence = cmp.Or(c.Silence, 45*time.Second)
	c.MaxEvent = cmp.Or(c.MaxEvent, wire.DefaultEventBytes)
	c.MaxBytes = cmp.Or(c.MaxBytes, wire.DefaultBatchBytes)
	return c
}

// Validate returns all problems of the configuration, joined.
func (c Config) Validate() error {
	var errs []error
	if c.MinWait < 0 || c.MaxWait < c.MinWait {
		errs = append(errs, fmt.Errorf("config: MinWait %v, MaxWait %v: want 0 < MinWait <= MaxWait", c.MinWait, c.MaxWait))
	}
	if c.MaxEvent < 0 || c.MaxBytes < 0 {
		errs = append(errs, errors.New("config: MaxEvent or MaxBytes is negative"))
	}
	for _, name := range c.Key {
		if name == "" {
			errs = append(errs, errors.New("config: Key names a field without a name"))
		}
	}
	if c.HTTP != nil && c.HTTP.Timeout != 0 {
		errs = append(errs, errors.New("config: the Timeout of HTTP would end streams"))
	}
	return errors.Join(errs...)
}
