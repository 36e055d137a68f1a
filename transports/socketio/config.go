package socketio

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/transports/internal/duplex"
	"github.com/binderyhq/bindery/transports/socketio/internal/packet"
)

// Config tunes the transport. The zero value of each field means its default.
type Config struct {
	// Namespace is one more namespace in which bindings are served, beside the
	// main one: "/shop". The default is none.
	Namespace string

	// Auth says who asks in a namespace, from what the client gives as auth when
	// it connects there: an object, or nil. The context is that of the session,
	// with the values that the application's middleware gave the first request;
	// the one returned goes to the authorizer. When that is done before the
	// session is, the client is disconnected from the namespace, after which
	// stock clients do not come back by themselves.
	//
	// An error refuses: the client's connect_error has the message
	// "Unauthorized" and the problem as data; the error itself is logged. It may
	// be called from any goroutine and holds up the requests of its client
	// alone. The default takes everybody as the first request says.
	Auth func(ctx context.Context, namespace string, auth json.RawMessage) (context.Context, error)

	// Origins are the origins whose pages may connect, beside the server's
	// own (that of the request's Host), each as browsers send it:
	// "https://shop.example". "*" allows all but "null". Requests without an
	// Origin header, which do not come from pages of others, are always
	// allowed. Allowed pages may send credentials. The default is none.
	Origins []string

	// WebSocketOnly refuses long-polling. Clients must ask for WebSocket alone,
	// and need no sticky sessions then.
	WebSocketOnly bool

	// MaxConnections bounds the sessions open at a time; more are answered
	// 503. The default is 10,000; negative means no bound.
	MaxConnections int

	// MaxJoins bounds the bindings that one session has joined, in all
	// namespaces. The default is 256.
	MaxJoins int

	// MaxRequestBytes bounds one payload of the client, in bytes. The default
	// is 64 KiB.
	MaxRequestBytes int64

	// HandshakeTimeout bounds the writing of the answer to a WebSocket
	// handshake, and the time from a probe to the upgrade. The default is 10
	// seconds.
	HandshakeTimeout time.Duration

	// WriteTimeout bounds the writing of one message, or of the answer to a
	// poll, and the reading of a request's body. The client is disconnected when
	// it has not taken it by then, or up to a quarter of the time later. The
	// default is 10 seconds.
	WriteTimeout time.Duration

	// PingInterval is how often the client is pinged, PingTimeout how long it
	// may take to answer. The defaults are 25 and 20 seconds. Both are told to
	// clients in milliseconds.
	PingInterval, PingTimeout time.Duration

	// ConnectTimeout bounds the time from the handshake to the first namespace.
	// The default is 45 seconds.
	ConnectTimeout time.Duration

	// LoadWait bounds how long a look at a page waits for the rows of a
	// family's member, or of a scope, that has come alive with it. The requests
	// of the session that follow wait as well. The default is 5 seconds;
	// negative means not to wait.
	LoadWait time.Duration

	// DrainTimeout bounds how long Shutdown lets sessions complete the batches
	// that are under way. The default is 2 seconds.
	DrainTimeout time.Duration

	// PageRows bounds the rows of one message. The default is 1,000.
	PageRows int

	// MessageBytes bounds one message to the client, in bytes; a single row
	// that is longer is sent nevertheless. The default is 256 KiB, the minimum
	// 1 KiB.
	MessageBytes int
}

// WithDefaults returns a copy with the default in every zero field.
func (c Config) WithDefaults() Config {
	c.shared().SetDefaults()
	c.PingTimeout = cmp.Or(c.PingTimeout, 20*time.Second)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 45*time.Second)
	return c
}

// Validate returns everything that is wrong with the configuration.
func (c Config) Validate() error {
	errs := []error{
		c.shared().Validate(),
		duplex.NotNegative("PingTimeout", c.PingTimeout), duplex.NotNegative("ConnectTimeout", c.ConnectTimeout),
		atLeastAMillisecond("PingInterval", c.PingInterval), atLeastAMillisecond("PingTimeout", c.PingTimeout),
	}
	if c.Namespace != "" {
		if err := packet.CheckNamespace(c.Namespace); err != nil {
			errs = append(errs, fmt.Errorf("config: %w", err))
		}
	}
	return errors.Join(errs...)
}

// atLeastAMillisecond returns an error for a positive time that clients would be told is
// zero: they are told milliseconds.
func atLeastAMillisecond(field string, value time.Duration) error {
	if value > 0 && value < time.Millisecond {
		return fmt.Errorf("config: %s %v is less than a millisecond", field, value)
	}
	return nil
}

// shared points to the options that WebSocket has too.
func (c *Config) shared() duplex.Settings {
	return duplex.Settings{
		Origins: &c.Origins, MaxConnections: &c.MaxConnections, MaxJoins: &c.MaxJoins, MaxRequestBytes: &c.MaxRequestBytes,
		HandshakeTimeout: &c.HandshakeTimeout, WriteTimeout: &c.WriteTimeout, PingInterval: &c.PingInterval,
		LoadWait: &c.LoadWait, DrainTimeout: &c.DrainTimeout, PageRows: &c.PageRows, MessageBytes: &c.MessageBytes,
	}
}
