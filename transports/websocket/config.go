package websocket

import (
	"context"
	"net/http"
	"time"

	"github.com/binderyhq/bindery/transports/internal/duplex"
)

// Config tunes the transport. In each field zero means the default.
type Config struct {
	// Origins are the origins whose pages may connect, beside the server's own (that of
	// the request's Host), each as browsers send it: "https://shop.example". "*" allows
	// all but "null". Requests without an Origin header do not come from pages, and are
	// always allowed. The default is none.
	Origins []string

	// Bearer finds the user of the token in a handshake. It returns a context, made
	// from the request's, with which the authorizer is asked on that connection. An
	// error refuses the handshake with 401. Bearer is called concurrently, and again
	// when a client comes back with another token. It is not called for a handshake
	// without a token.
	//
	// Pages offer the token as the subprotocol "bindery.bearer." followed by the token in
	// base64url without padding, beside the subprotocol "bindery". Other clients may use
	// the header Authorization. For middleware that reads that header see [BearerHeader].
	// The default is none.
	Bearer func(r *http.Request, token string) (context.Context, error)

	// MaxConnections bounds the connections open at a time; further ones get 503. The
	// default is 10,000; negative means no bound.
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

	// WriteTimeout bounds the writing of one message of at most MessageBytes. A client
	// that has not taken the message by then is disconnected, up to a quarter of the time
	// later. The default is 10 seconds.
	WriteTimeout time.Duration

	// PingInterval is how often the client is pinged. A client that has not answered for
	// two intervals and WriteTimeout is disconnected. The default is 25 seconds, short
	// enough for most proxies.
	PingInterval time.Duration

	// LoadWait bounds how long a look at a page waits for the rows of a family's member,
	// or of an authorizer's scope, that was opened for it. The connection's next requests
	// wait as well. The default is 5 seconds; negative means not to wait.
	LoadWait time.Duration

	// DrainTimeout bounds how long Shutdown waits for connections to complete the batches
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
	return c
}

// Validate returns everything that is wrong with the configuration.
func (c Config) Validate() error { return c.shared().Validate() }

// shared points to the options that Socket.IO has as well.
func (c *Config) shared() duplex.Settings {
	return duplex.Settings{
		Origins: &c.Origins, MaxConnections: &c.MaxConnections, MaxJoins: &c.MaxJoins, MaxRequestBytes: &c.MaxRequestBytes,
		HandshakeTimeout: &c.HandshakeTimeout, WriteTimeout: &c.WriteTimeout, PingInterval: &c.PingInterval,
		LoadWait: &c.LoadWait, DrainTimeout: &c.DrainTimeout, PageRows: &c.PageRows, MessageBytes: &c.MessageBytes,
	}
}
