package ending

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// Errors of reading a limited body.
var (
	// ErrSlowBody: the body did not come within its time.
	ErrSlowBody = errors.New("ending: the body has not come in time")
	// ErrBodyCut: what limits the body has ended, as at a shutdown.
	ErrBodyCut = errors.New("ending: no more of the body is read")
)

// Linger is how long the HTTP server may go on reading what a handler has left of
// a body. It reads on to use the connection again, and waits for a client that
// sends nothing.
const Linger = time.Second

// Body is the body of a request, read within a time. It is made by [LimitBody].
type Body struct {
	body    io.ReadCloser
	control *http.ResponseController
	cuts    []func() bool
	over    chan struct{} // closed when why is set
	async   bool          // the connection has no deadlines

	mu       sync.Mutex // guards what follows
	why      error
	released bool
}

// LimitBody limits the reading of the request's body, also by the HTTP server
// after the handler has returned: to the timeout, and until one of the contexts is
// done. The request's body returns [ErrSlowBody] or [ErrBodyCut] then. The caller
// calls End when it has answered. It returns nil, of which End is harmless, for a
// request without a body.
//
// A connection's read deadline does it. Where a writer hides that, a goroutine
// reads instead, and stays behind when the time is over.
func LimitBody(w http.ResponseWriter, r *http.Request, timeout time.Duration, until ...context.Context) *Body {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil
	}
	if srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && srv.ReadTimeout > 0 {
		timeout = min(timeout, srv.ReadTimeout) // which the deadline replaces
	}
	b := &Body{body: r.Body, control: http.NewResponseController(w), over: make(chan struct{})}
	deadline := time.Now().Add(timeout)
	b.async = b.control.SetReadDeadline(deadline) != nil
	timer := time.AfterFunc(timeout, func() { b.cut(ErrSlowBody) })
	b.cuts = append(b.cuts, timer.Stop)
	for _, ctx := range until {
		b.cuts = append(b.cuts, context.AfterFunc(ctx, func() { b.cut(ErrBodyCut) }))
	}
	r.Body = b
	return b
}

// cut ends the reading.
func (b *Body) cut(why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.released || b.why != nil {
		return
	}
	b.why = why
	close(b.over)
	if !b.async {
		_ = b.control.SetReadDeadline(time.Now())
	}
}

// Read implements [io.Reader].
func (b *Body) Read(p []byte) (n int, err error) {
	if b.async {
		n, err = b.readAsync(p)
	} else {
		n, err = b.body.Read(p)
	}
	switch {
	case errors.Is(err, io.EOF):
		// From now on the server reads in the background, to learn that the
		// client has gone. A deadline would end the request.
		b.release(time.Time{})
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.mu.Lock()
		if err = b.why; err == nil {
			err = ErrSlowBody // the deadline was faster than the timer, or it is the server's
		}
		b.mu.Unlock()
	}
	return n, err
}

// Close implements [io.Closer].
func (b *Body) Close() error { return b.body.Close() }

// End lets go of the body. What was not read of it may follow for a moment.
func (b *Body) End() {
	if b == nil {
		return
	}
	b.mu.Lock()
	was := b.why
	b.mu.Unlock()
	if was != nil {
		b.release(time.Now())
		return
	}
	b.release(time.Now().Add(Linger))
}

// release stops the limits and leaves this deadline, once.
func (b *Body) release(deadline time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.released {
		return
	}
	b.released = true
	for _, stop := range b.cuts {
		stop()
	}
	if !b.async {
		_ = b.control.SetReadDeadline(deadline)
	}
}

// asyncRead is a read on a goroutine of its own, into memory of its own.
type asyncRead struct {
	buf  []byte
	n    int
	err  error
	done chan struct{}
}

// readAsync reads without a deadline. A read that was given up is never looked
// at again.
func (b *Body) readAsync(p []byte) (int, error) {
	select {
	case <-b.over:
		return 0, os.ErrDeadlineExceeded
	default:
	}
	r := &asyncRead{buf: make([]byte, len(p)), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.n, r.err = readGuarded(b.body, r.buf)
	}()
	select {
	case <-r.done:
		return copy(p, r.buf[:r.n]), r.err
	case <-b.over:
		return 0, os.ErrDeadlineExceeded
	}
}

// readGuarded turns a panic of the application's reader into an error: on this
// goroutine nobody would recover it.
func readGuarded(r io.Reader, p []byte) (n int, err error) {
	defer func() {
		if recover() != nil {
			n, err = 0, errors.New("ending: reading the body panicked")
		}
	}()
	return r.Read(p)
}

// discardLimit bounds a body that is read for nothing, in bytes.
const discardLimit = 64 << 10

// Discard reads a body that means nothing, so that the HTTP server has none to
// read when the answer begins: it would wait for it. It returns [ErrSlowBody] for
// a body that does not come at once, or is long; such a request is refused.
func Discard(w http.ResponseWriter, r *http.Request) error {
	b := LimitBody(w, r, Linger)
	if b == nil {
		return nil
	}
	if n, err := io.Copy(io.Discard, io.LimitReader(b, discardLimit)); err == nil && n < discardLimit {
		return nil
	}
	b.End()
	return ErrSlowBody
}

// Leave limits what the HTTP server reads of a body that the handler leaves,
// unless it is limited already. It is called before the handler answers.
func Leave(w http.ResponseWriter, r *http.Request) {
	if _, limited := r.Body.(*Body); !limited {
		LimitBody(w, r, Linger).End()
	}
}

// CloseConnection has the connection closed after the answer, since the rest of a
// body stands before the next request. HTTP/2 needs no such thing. It is called
// before the handler answers.
func CloseConnection(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
}
