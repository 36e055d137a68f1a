package socketio

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/internal/session"
	"github.com/binderyhq/bindery/transports/socketio/internal/packet"
)

// namespace is a namespace that the client is connected to.
type namespace struct {
	name    string
	channel session.Channel
	cancel  context.CancelFunc // ends the channel's context; nil if that is the session's context
	unhook  []func() bool
}

// release frees the namespace's context and hooks. It leaves the channel alone.
func (ns *namespace) release() {
	if ns == nil {
		return
	}
	for _, unhook := range ns.unhook {
		unhook()
	}
	if ns.cancel != nil {
		ns.cancel()
	}
}

// leave closes the channel and releases the namespace. It ignores nil.
func (ns *namespace) leave() {
	if ns != nil {
		ns.channel.Close()
		ns.release()
	}
}

// connect connects the client to a namespace. A new connection replaces an older one to
// the same namespace.
func (c *conn) connect(name string, auth json.RawMessage) {
	enc := c.t.encs[name]
	if enc == nil {
		c.refuse(name, `{"message":"Invalid namespace"}`)
		return
	}
	ctx, err := c.who(name, auth)
	if err != nil {
		c.log().Debug("socketio: refused a client", slog.String("id", "socketio-refused"), slog.String("namespace", name), slog.Any("err", err))
		p := problem.Unauthorized("")
		c.refuse(name, fmt.Sprintf(`{"message":%q,"data":%s}`, p.Title, p.JSON()))
		return
	}
	ns := &namespace{name: name}
	within := c.session.Context()
	if c.t.cfg.Auth != nil {
		// The context that Config.Auth returns may outlive the session.
		within, ns.cancel = context.WithCancel(ctx)
		ns.unhook = append(ns.unhook, context.AfterFunc(c.session.Context(), ns.cancel))
	}
	ns.channel.Open(within, &c.session, enc)
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		ns.leave()
		return
	}
	before := c.namespaces[name]
	c.namespaces[name] = ns
	c.connected = true
	c.connecting.Stop()
	c.mu.Unlock()
	before.leave()

	var id [15]byte
	_, _ = rand.Read(id[:]) // never fails
	// The session's own id stays out of it, because it is a secret.
	c.session.Reply(message(packet.Packet{
		Type: packet.Connect, Namespace: name, Data: []byte(`{"sid":"` + base64.RawURLEncoding.EncodeToString(id[:]) + `"}`),
	}))
	if ns.cancel != nil {
		stop := context.AfterFunc(ctx, func() { c.dismiss(ns) })
		c.mu.Lock()
		late := c.namespaces[name] != ns
		if !late {
			ns.unhook = append(ns.unhook, stop)
		}
		c.mu.Unlock()
		if late {
			stop()
		}
	}
}

func (c *conn) refuse(name, reason string) {
	c.session.Reply(message(packet.Packet{Type: packet.ConnectError, Namespace: name, Data: []byte(reason)}))
}

// who asks Config.Auth for the context that identifies the client. A panic of Auth
// becomes an error.
func (c *conn) who(name string, auth json.RawMessage) (ctx context.Context, err error) {
	if c.t.cfg.Auth == nil {
		return c.session.Context(), nil
	}
	defer func() {
		if r := recover(); r != nil {
			c.log().Error("socketio: Config.Auth panicked", slog.String("id", "socketio-auth-panic"), slog.Any("panic", r))
			err = fmt.Errorf("Config.Auth panicked: %v", r)
		}
	}()
	ctx, err = c.t.cfg.Auth(c.session.Context(), name, auth)
	if err == nil && ctx == nil {
		err = fmt.Errorf("Config.Auth returned no context")
	}
	return ctx, err
}

// left removes the namespace and returns it, or nil if the client is not connected to
// it. If ns is not nil, left removes only ns. The name stays in the map, because the
// client may have sent events before it learned of the end.
func (c *conn) left(name string, ns *namespace) *namespace {
	c.mu.Lock()
	defer c.mu.Unlock()
	have := c.namespaces[name]
	if c.over || have == nil || ns != nil && have != ns {
		return nil
	}
	c.namespaces[name] = nil
	return have
}

// disconnect handles the client's request to leave a namespace.
func (c *conn) disconnect(name string) { c.left(name, nil).leave() }

// dismiss disconnects the client from a namespace and tells it so.
func (c *conn) dismiss(ns *namespace) {
	if c.left(ns.name, ns) == nil {
		return
	}
	ns.leave()
	c.session.Reply(message(packet.Packet{Type: packet.Disconnect, Namespace: ns.name}))
}
