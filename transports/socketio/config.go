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

// Config tunes the transport. In each field zero means the default.
type Config struct {
	// Namespace is a second namespace in which bindings are served, beside the main one,
	// such as "/shop". The default is none.
	Namespace string

	// Auth authenticates a client when it connects to a namespace, by the auth that the
	// client sends: an object, or nil. The context is that of the session, with the values
	// that the application's middleware set in the first request. The context that Auth
	// returns goes to the authorizer. If that context ends before the session, the client
	// is disconnected from the namespace; stock clients then do not come back by
	// themselves.
	//
	// An error refuses the client: its connect_error has the message "Unauthorized" and
	// the problem as data. The error itself is logged. Auth may be called from any
	// goroutine, and holds up only the requests of its own client. Without Auth the
	// context of the first request goes to the authorizer.
	Auth func(ctx context.Context, namespace string, auth json.RawMessage) (context.Context, error)

	// Origins are the origins whose pages may connect, beside the server's own (that of
	// the request's Host), each as browsers send it: "https://shop.example". "*" allows
	// all but "null". Requests without an Origin header do not come from pages of other
	// origins, and are always allowed. Allowed pages may send credentials. The default
	// is none.
	Origins []string

	// WebSocketOnly refuses long-polling. Clients must then use WebSocket from the
	// beginning, and need no sticky sessions.
	WebSocketOnly bool

	// MaxConnections bounds the sessions open at a time; further ones get 503. The
	// default is 10,000; negative means no bound.
	MaxConnections int

	// MaxJoins bounds the bindings that one session has joined, over all namespaces. The
	// default is 256.
	MaxJoins int

	// MaxRequestBytes bounds one payload of the client, in bytes. The default
	// is 64 KiB.
	MaxRequestBytes int64

	// HandshakeTimeout bounds the writing of the answer to a WebSocket
	// handshake, and the time from a probe to the upgrade. The default is 10
	// seconds.
	HandshakeTimeout time.Duration

	// WriteTimeout bounds the writing of one message or of the answer to a poll, and the
	// reading of a request's body. A client that is not done by then is disconnected, up
	// to a quarter of the time later. The default is 10 seconds.
	WriteTimeout time.Duration

	// PingInterval is how often the client is pinged, and PingTimeout how long its answer
	// may take. The defaults are 25 and 20 seconds. Clients are told both in milliseconds.
	PingInterval, PingTimeout time.Duration

	// ConnectTimeout bounds the time from the handshake to the first namespace.
	// The default is 45 seconds.
	ConnectTimeout time.Duration

	// LoadWait bounds how long a look at a page waits for the rows of a family's member,
	// or of an authorizer's scope, that was opened for it. The session's next requests
	// wait as well. The default is 5 seconds; negative means not to wait.
	LoadWait time.Duration

	// DrainTimeout bounds how long Shutdown waits for sessions to complete the batches
	// under way. The default is 2 seconds.
	DrainTimeout time.Duration

	// PageRows bounds the rows of one message. The default is 1,000.
	PageRows int

	// MessageBytes bounds one message to the client, in bytes. A longer message is sent
	// only for a single row that is longer. The default is 256 KiB, the minimum 1 KiB.
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

// atLeastAMillisecond returns an error for a positive time below one millisecond.
// Clients are told whole milliseconds and would read zero.
func atLeastAMillisecond(field string, value time.Duration) error {
	if value > 0 && value < time.Millisecond {
		return fmt.Errorf("config: %s %v is less than a millisecond", field, value)
	}
	return nil
}

// shared points to the options that WebSocket has as well.
func (c *Config) shared() duplex.Settings {
	return duplex.Settings{
		Origins: &c.Origins, MaxConnections: &c.MaxConnections, MaxJoins: &c.MaxJoins, MaxRequestBytes: &c.MaxRequestBytes,
		HandshakeTimeout: &c.HandshakeTimeout, WriteTimeout: &c.WriteTimeout, PingInterval: &c.PingInterval,
		LoadWait: &c.LoadWait, DrainTimeout: &c.DrainTimeout, PageRows: &c.PageRows, MessageBytes: &c.MessageBytes,
	}
}
