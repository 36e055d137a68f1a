package serving

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/transports/internal/ending"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// Kind describes the connections of a transport.
type Kind[C comparable] struct {
	Transport    string        // its name
	Noun         string        // what clients and logs call the connections: "event streams"
	Max          int           // open at a time; negative: no bound
	DrainTimeout time.Duration // for connections to end by themselves at the shutdown
	Stop         func(C)       // makes a connection complete its batch and end; it does not block
	Cut          func(C)       // makes a connection end at once
}

// Connections are the open connections of a transport. All methods may be called from
// any goroutine, after Mount.
type Connections[C comparable] struct {
	kind Kind[C]
	open *ending.Open[C]
	reg  *core.Registry
}

// NewConnections returns connections of the kind.
func NewConnections[C comparable](kind Kind[C]) *Connections[C] {
	return &Connections[C]{kind: kind, open: ending.NewOpen[C](kind.Max)}
}

// Mount sets the registry that the connections serve.
func (o *Connections[C]) Mount(reg *core.Registry) { o.reg = reg }

// Admit counts a new connection among the open ones, or returns the problem to refuse it
// with. The caller calls Leave when an admitted connection has ended.
func (o *Connections[C]) Admit(c C) *problem.Problem {
	err := o.open.Enter(c)
	switch {
	case errors.Is(err, ending.ErrFull):
		return problem.Unavailable("too many " + o.kind.Noun + " are open")
	case err != nil:
		return problem.ShuttingDown()
	case o.reg.Stopping().Err() != nil:
		o.open.Leave(c)
		return problem.ShuttingDown()
	}
	return nil
}

// Leave removes a connection.
func (o *Connections[C]) Leave(c C) { o.open.Leave(c) }

// Each calls the function for each open connection.
func (o *Connections[C]) Each(fn func(C)) { o.open.Each(fn) }

// Drain stops the open connections one after the other, evenly over the time.
func (o *Connections[C]) Drain(ctx context.Context, over time.Duration) error {
	return o.open.Spread(ctx, over, o.kind.Stop)
}

// Shutdown admits no more connections, stops the open ones, and cuts those that have
// not ended within DrainTimeout, because their clients do not read. It returns when
// none is left, or with an error if the context ends first.
func (o *Connections[C]) Shutdown(ctx context.Context) error {
	o.open.Close(o.kind.Stop)
	if err := o.open.Drain(ctx, o.kind.DrainTimeout, o.kind.Cut); err != nil {
		return fmt.Errorf("%s: waiting for %s to end: %w", o.kind.Transport, o.kind.Noun, err)
	}
	return nil
}

// Report sets how many connections are open, and how many were refused.
func (o *Connections[C]) Report(st *status.Transport) {
	st.Open, st.Refused = o.open.Len(), o.open.Refused()
}
