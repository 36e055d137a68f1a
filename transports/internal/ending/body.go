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
	// ErrSlowBody means that the body did not arrive within its time.
	ErrSlowBody = errors.New("ending: the body has not come in time")
	// ErrBodyCut means that a context of [LimitBody] is done, as at a shutdown.
	ErrBodyCut = errors.New("ending: no more of the body is read")
)

// Linger is how long the HTTP server may read the rest of a body that a handler left
// unread. The server reads it to reuse the connection, and would wait for a client that
// sends nothing.
const Linger = time.Second

// Body is the body of a request with a limited time for reading. It is made by
// [LimitBody].
type Body struct {
	request  *http.Request
	body     io.ReadCloser // of the request, before LimitBody
	control  *http.ResponseController
	deadline time.Time
	cuts     []func() bool
	over     chan struct{} // closed when why is set
	async    bool          // the connection has no deadlines

	mu       sync.Mutex // guards what follows
	why      error
	released bool
	tooLate  error // set with released
}

// LimitBody limits the reading of the request's body, including what the HTTP server
// reads after the handler has returned: to the timeout, and until one of the contexts
// is done. Reading then returns [ErrSlowBody] or [ErrBodyCut]. The caller calls End
// after it has answered. For a request without a body LimitBody returns nil, on which
// End does nothing.
//
// LimitBody sets the connection's read deadline. If a writer hides that, a goroutine
// reads instead. It is left behind when the time is over.
func LimitBody(w http.ResponseWriter, r *http.Request, timeout time.Duration, until ...context.Context) *Body {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil
	}
	if srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && srv.ReadTimeout > 0 {
		timeout = min(timeout, srv.ReadTimeout) // which the deadline replaces
	}
	b := &Body{request: r, body: r.Body, control: http.NewResponseController(w), deadline: time.Now().Add(timeout), over: make(chan struct{})}
	b.async = b.control.SetReadDeadline(b.deadline) != nil
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
		// The server now reads in the background, to notice that the client has gone. A
		// deadline would end the request, and one that has passed has ended it.
		if late := b.finish(); late != nil {
			return n, late
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.mu.Lock()
		if err = b.why; err == nil {
			err = ErrSlowBody // the connection's deadline came before the timer, or it is the server's
		}
		b.mu.Unlock()
	}
	return n, err
}

// finish stops the limits at the end of the body. It returns the error of a body that
// has come too late.
func (b *Body) finish() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.releaseLocked(time.Time{})
	return b.tooLate
}

// Close implements [io.Closer].
func (b *Body) Close() error { return b.body.Close() }

// End stops limiting the body. The HTTP server may read an unread rest for up to
// Linger.
func (b *Body) End() {
	if b == nil {
		return
	}
	b.giveBack()
	b.mu.Lock()
	was := b.why
	b.mu.Unlock()
	if was != nil {
		b.release(time.Now())
		return
	}
	b.release(time.Now().Add(Linger))
}

// giveBack makes the body the server's own again. The server then sees that a client
// waits for "100 Continue" before it sends a body, and answers without waiting for that
// body; it would read one that it does not know. The connection's deadline stays.
func (b *Body) giveBack() {
	if b.request.Body == b {
		b.request.Body = b.body
	}
}

// release stops the limits and sets the last deadline, once.
func (b *Body) release(deadline time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.releaseLocked(deadline)
}

func (b *Body) releaseLocked(deadline time.Time) {
	if b.released {
		return
	}
	b.released = true
	for _, stop := range b.cuts {
		stop()
	}
	if b.async {
		return
	}
	_ = b.control.SetReadDeadline(deadline)
	// Asked after the deadline was taken back, so that none can pass unseen.
	if b.tooLate = b.why; b.tooLate == nil && !time.Now().Before(b.deadline) {
		b.tooLate = ErrSlowBody
	}
}

// asyncRead is a read on its own goroutine, into its own memory.
type asyncRead struct {
	buf  []byte
	n    int
	err  error
	done chan struct{}
}

// readAsync reads without a deadline. It ignores the result of a read that was given
// up.
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

// readGuarded turns a panic of the application's reader into an error. Nobody would
// recover it on this goroutine.
func readGuarded(r io.Reader, p []byte) (n int, err error) {
	defer func() {
		if recover() != nil {
			n, err = 0, errors.New("ending: reading the body panicked")
		}
	}()
	return r.Read(p)
}

// discardLimit bounds a body that is read and ignored, in bytes.
const discardLimit = 64 << 10

// Discard reads and ignores a body. Otherwise the HTTP server would wait for it before
// the answer begins. It returns [ErrSlowBody] for a body that is long or does not
// arrive at once; the caller refuses such a request.
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

// Leave limits the time in which the HTTP server reads a body that the handler leaves
// unread, unless the body is limited already. Call it before answering; nobody reads the
// body after that.
func Leave(w http.ResponseWriter, r *http.Request) {
	if b, limited := r.Body.(*Body); limited {
		b.giveBack()
	} else {
		LimitBody(w, r, Linger).End()
	}
}

// CloseConnection closes the connection after the answer, because an unread rest of the
// body stands before the next request. HTTP/2 does not need that. Call it before
// answering.
func CloseConnection(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
}
