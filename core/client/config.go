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

// Config tunes a client. The zero value of each field means its default.
type Config struct {
	// Params name a member of a family, as its URL does: {"venue": {"store"}}.
	Params url.Values
	// Key names the fields of the rows' key. The default is "id".
	Key []string

	// Header returns headers of each request: a token that may have been renewed
	// since the last one, for example. An error counts as a failed connection. nil
	// adds none. It is called again after a 401, once, before that counts as
	// refused.
	Header func(ctx context.Context) (http.Header, error)
	// HTTP makes the requests. Its Timeout would end streams and must be 0. The
	// default is a client of its own, whose connections are closed with it.
	HTTP *http.Client

	// MinWait and MaxWait bound the waits before connecting again. The first is
	// spread over MinWait, or over what the server tells its clients to wait; each
	// further one over twice the time, up to MaxWait. The defaults are 500
	// milliseconds and 30 seconds.
	MinWait, MaxWait time.Duration
	// Silence is how long a connection may say nothing, not even a heartbeat,
	// before it is given up. The default is 45 seconds, three heartbeats of a
	// server's; negative waits for ever.
	Silence time.Duration

	// MaxEvent bounds one event and MaxBytes a batch, and, for [Rows], what is held
	// as well: in bytes of JSON. The defaults are 64 MiB and 1 GiB. A batch or an
	// event beyond its bound counts as nonsense, rows beyond it close the client with
	// [ErrTooLarge].
	MaxEvent, MaxBytes int

	// Replica asks for what followers are told beside rows, see [wire.Replica].
	Replica bool
}

// ErrTooLarge closes a client whose rows are more than Config.MaxBytes.
var ErrTooLarge = errors.New("client: the rows are more than the client may hold")

// WithDefaults returns a copy in which every zero field has its default, but for
// HTTP.
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

// Validate returns everything that is wrong with the configuration.
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
