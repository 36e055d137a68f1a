package ndjson

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

// serve answers a request with a stream.
func (t *Transport) serve(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	version := query.Get("version")
	query.Del("version") // all others name the member of a family
	open := func() (*core.Grant, error) {
		return t.reg.Open(r.Context(), r.PathValue("binding"), core.QueryArgs(query))
	}
	grant, err := open()
	if err != nil {
		t.refuse(w, err)
		return
	}
	defer func() { grant.Close() }()
	if !t.admit() {
		w.Header().Set("Retry-After", "2")
		http.Error(w, "no more streams can be opened now", http.StatusServiceUnavailable)
		return
	}
	defer t.dismiss()

	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(t.ending, cancel)()
	defer context.AfterFunc(t.reg.Stopping(), cancel)()

	out := &output{t: t, w: w, ctrl: http.NewResponseController(w)}
	defer out.watch()()

	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	_ = out.ctrl.SetReadDeadline(time.Time{}) // the server's is made for answers that end
	for {
		// Errors have nobody to go to: the answer has begun. The client sees
		// the stream end, and resumes from the last version that it was given,
		// or is refused.
		if err := t.follow(ctx, grant, version, out); !errors.Is(err, live.ErrScopeChanged) {
			return
		}
		// The client may see something else from now on: it goes on with that.
		again, err := open()
		if err != nil {
			return
		}
		grant.Close()
		grant, version = again, ""
	}
}

// follow writes batches until the context ends, the binding does, the authorizer
// withdraws its leave, or writing fails. The end of the context does not interrupt
// a batch.
func (t *Transport) follow(ctx context.Context, grant *core.Grant, version string, out *output) error {
	sub := grant.Subscribe(ctx, live.SubscribeOptions{Version: version})
	defer sub.Close()
	if err := out.flush(); err != nil { // the header, so that the client knows it is heard
		return err
	}
	buf := bufio.NewWriterSize(out, 4<<10)
	for ctx.Err() == nil {
		e, err := t.next(ctx, sub)
		switch {
		case err != nil:
			return err
		case e == nil:
			_ = buf.WriteByte('\n') // a heartbeat; errors stay in buf until Flush
		default:
			writeBatch(buf, sub.View(), e)
		}
		if err := buf.Flush(); err != nil {
			return err
		}
		if err := out.flush(); err != nil {
			return err
		}
	}
	return nil
}

// next returns the next event, or nil when it is time for a heartbeat.
func (t *Transport) next(ctx context.Context, sub *live.Subscription) (*live.Event, error) {
	wait, cancel := context.WithTimeout(ctx, t.cfg.Heartbeat)
	defer cancel()
	e, err := sub.Next(wait)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, nil
	}
	return e, err
}

// output writes to the client, each write within the time that it may take.
type output struct {
	t    *Transport
	w    http.ResponseWriter
	ctrl *http.ResponseController
}

// watch makes a write under way fail when the time of the shutdown has run
// out. The function that it returns must be called before the handler returns:
// after that nobody may touch the connection.
func (o *output) watch() (release func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(o.t.late, func() {
		defer close(done)
		_ = o.ctrl.SetWriteDeadline(time.Now())
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

// Write implements [io.Writer].
func (o *output) Write(p []byte) (int, error) {
	if err := o.begin(); err != nil {
		return 0, err
	}
	return o.w.Write(p)
}

// flush sends what was written. Between batches there is no deadline: over
// HTTP/2 one that passes ends a stream that has nothing to write.
func (o *output) flush() error {
	if err := o.begin(); err != nil {
		return err
	}
	if err := o.ctrl.Flush(); err != nil {
		return err
	}
	return o.setDeadline(time.Time{})
}

func (o *output) begin() error { return o.setDeadline(time.Now().Add(o.t.cfg.WriteTimeout)) }

func (o *output) setDeadline(at time.Time) error {
	if err := o.ctrl.SetWriteDeadline(at); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	// Looked at after the deadline was set: either we see it here, or watch
	// sets the earlier deadline after ours.
	return o.t.late.Err()
}
