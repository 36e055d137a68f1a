package websocket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/internal/origin"
)

// Config tunes the transport. The zero value of each field means its default.
type Config struct {
	// Origins are the origins whose pages may connect, beside the server's
	// own (that of the request's Host), each as browsers send it:
	// "https://shop.example". "*" allows all but "null". Requests without an
	// Origin header, which do not come from pages, are always allowed. The
	// default is none.
	Origins []string

	// Bearer, when set, is asked who bears the token of a handshake, and returns
	// the context with which the authorizer is asked on that connection, made
	// from the request's. Pages offer the token as the subprotocol
	// "bindery.bearer." followed by it in base64url without padding, beside the
	// subprotocol "bindery"; other clients may use the header Authorization. An
	// error refuses the handshake with 401. Without a token Bearer is not asked,
	// and the connection is nobody's. It is called concurrently, and again when a
	// client comes back with another token. For middleware that reads
	// Authorization see [BearerHeader]. The default is none.
	Bearer func(r *http.Request, token string) (context.Context, error)

	// MaxConnections bounds the connections open at a time; more are answered
	// 503. The default is 10,000; negative means no bound.
	MaxConnections int

	// MaxJoins bounds the bindings that one connection has joined. The default
	// is 256.
	MaxJoins int

	// MaxRequestBytes bounds one message of the client, in bytes. The default
	// is 64 KiB.
	MaxRequestBytes int64

	// HandshakeTimeout bounds the writing of the handshake's answer. The
	// default is 10 seconds. Reading the request is bounded by the server's
	// ReadHeaderTimeout.
	HandshakeTimeout time.Duration

	// WriteTimeout bounds the writing of one message, at most MessageBytes
	// long. The client is disconnected when it has not taken it by then, or up
	// to a quarter of the time later. The default is 10 seconds.
	WriteTimeout time.Duration

	// PingInterval is how often the client is pinged. It is disconnected when
	// nothing has answered for two intervals and WriteTimeout. The default is
	// 25 seconds, short enough for most proxies.
	PingInterval time.Duration

	// LoadWait bounds how long a look at a page waits for the rows of a
	// family's member, or of a scope, that has come alive with it. The requests
	// of the connection that follow wait as well. The default is 5 seconds;
	// negative means not to wait.
	LoadWait time.Duration

	// DrainTimeout bounds how long Shutdown lets connections complete the
	// batches that are under way. The default is 2 seconds.
	DrainTimeout time.Duration

	// PageRows bounds the rows of one message. The default is 1,000.
	PageRows int

	// MessageBytes bounds one message to the client, in bytes; a single row
	// that is longer is sent nevertheless. The default is 256 KiB, the minimum
	// 1 KiB.
	MessageBytes int
}

// WithDefaults returns a copy in which every zero field has its default.
func (c Config) WithDefaults() Config {
	c.HandshakeTimeout = cmp.Or(c.HandshakeTimeout, 10*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 10*time.Second)
	c.PingInterval = cmp.Or(c.PingInterval, 25*time.Second)
	c.LoadWait = cmp.Or(c.LoadWait, 5*time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 2*time.Second)
	c.MaxConnections = cmp.Or(c.MaxConnections, 10_000)
	c.MaxJoins = cmp.Or(c.MaxJoins, 256)
	c.PageRows = cmp.Or(c.PageRows, wire.DefaultRows)
	c.MessageBytes = cmp.Or(c.MessageBytes, wire.DefaultBytes)
	c.MaxRequestBytes = cmp.Or(c.MaxRequestBytes, 64<<10)
	return c
}

// Validate returns everything that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"HandshakeTimeout", c.HandshakeTimeout},
		{"WriteTimeout", c.WriteTimeout},
		{"PingInterval", c.PingInterval},
		{"DrainTimeout", c.DrainTimeout},
	} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("config: %s %v is negative", d.name, d.value))
		}
	}
	if c.MaxJoins < 0 {
		errs = append(errs, fmt.Errorf("config: MaxJoins %d is negative", c.MaxJoins))
	}
	if c.MaxRequestBytes < 0 {
		errs = append(errs, fmt.Errorf("config: MaxRequestBytes %d is negative", c.MaxRequestBytes))
	}
	if err := c.limits().Validate(); err != nil {
		errs = append(errs, fmt.Errorf("config: %w", err))
	}
	for _, o := range c.Origins {
		if err := origin.Check(o); err != nil {
			errs = append(errs, fmt.Errorf("config: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (c Config) limits() wire.Limits { return wire.Limits{Rows: c.PageRows, Bytes: c.MessageBytes} }
