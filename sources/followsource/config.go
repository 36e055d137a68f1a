package followsource

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/binderyhq/bindery/core/client"
)

// Config tunes an origin. The zero value of each field means its default.
type Config struct {
	// Header returns the follower's own credential, as headers of each request;
	// see [client.Config].Header.
	Header func(ctx context.Context) (http.Header, error)
	// HTTP makes the requests. By default each binding has its own client.
	HTTP *http.Client

	// MinWait and MaxWait bound the waits before connecting again, see
	// [client.Config]. The defaults are 100 milliseconds and 10 seconds.
	MinWait, MaxWait time.Duration
	// Silence is how long an origin may send nothing, not even a heartbeat, before
	// the follower reconnects, and is stale. Heartbeats come every 2 seconds. The default
	// is 12 seconds, longer than an origin takes to answer; negative waits for ever.
	Silence time.Duration
	// MaxEvent and MaxBytes bound one event and one batch, in bytes of JSON. The
	// defaults are 64 MiB and 1 GiB.
	MaxEvent, MaxBytes int
}

// WithDefaults returns a copy in which every zero field has its default, except
// HTTP.
func (c Config) WithDefaults() Config {
	if c.MinWait == 0 {
		c.MinWait = 100 * time.Millisecond
	}
	if c.MaxWait == 0 {
		c.MaxWait = max(10*time.Second, c.MinWait)
	}
	c.Silence = cmp.Or(c.Silence, 12*time.Second)
	full := c.client(nil).WithDefaults()
	c.MaxEvent, c.MaxBytes = full.MaxEvent, full.MaxBytes
	return c
}

// Validate returns all mistakes in the configuration.
func (c Config) Validate() error { return c.WithDefaults().client(nil).Validate() }

// client returns the configuration of a stream.
func (c Config) client(params url.Values) client.Config {
	return client.Config{
		Params: params, Header: c.Header, HTTP: c.HTTP, MinWait: c.MinWait, MaxWait: c.MaxWait,
		Silence: c.Silence, MaxEvent: c.MaxEvent, MaxBytes: c.MaxBytes, Replica: true,
	}
}
