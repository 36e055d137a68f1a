package socketio

import (
	"errors"
	"io"
	"net/http"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/socketio/internal/engineio"
)

// servePost handles the packets of a request, and answers when all are handled. This
// takes longer while the client does not take earlier answers.
func (c *conn) servePost(w http.ResponseWriter, r *http.Request) error {
	c.mu.Lock()
	over, upgraded, overlap := c.over, c.link != nil, c.posting
	c.posting = true
	c.mu.Unlock()
	switch {
	case over:
		return unknownSID.write(w)
	case upgraded:
		return badRequest.write(w)
	case overlap:
		c.end(farewell{poll: closed})
		return badRequest.write(w)
	}
	body, p := c.readBody(w, r)
	if p != nil {
		c.end(farewell{poll: closed})
		return p.Write(w, r)
	}
	if !c.enter() {
		return unknownSID.write(w)
	}
	defer c.leave()
	err := c.receivePayload(body)
	// The client sends the next request as soon as it has the answer.
	c.mu.Lock()
	c.posting = false
	c.mu.Unlock()
	var wrong *violation
	switch {
	case errors.Is(err, errClosed):
		c.end(farewell{poll: nothing})
	case errors.As(err, &wrong):
		c.end(farewell{poll: closed, code: wrong.code, why: wrong.reason})
		return badRequest.write(w)
	}
	return writePayload(w, []byte("ok"))
}

func (c *conn) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.enterLocked()
}

// readBody reads a payload, within the bounds on size and time.
func (c *conn) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *problem.Problem) {
	limit := c.t.cfg.MaxRequestBytes
	if r.ContentLength > limit {
		return nil, problem.TooLarge(limit)
	}
	ctrl := http.NewResponseController(w)
	_ = ctrl.SetReadDeadline(time.Now().Add(c.t.cfg.WriteTimeout)) // if this fails, the server's own timeout applies
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	_ = ctrl.SetReadDeadline(time.Time{})
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, problem.TooLarge(limit)
	}
	if err != nil {
		return nil, problem.MalformedBody("it could not be read")
	}
	return body, nil
}

// receivePayload handles the packets of a payload, or none of them if one is malformed.
func (c *conn) receivePayload(body []byte) error {
	if err := engineio.Check(body); err != nil {
		return &violation{gorilla.CloseProtocolError, err.Error()}
	}
	for p := range engineio.Payload(body) {
		if err := c.receive(p); err != nil {
			return err
		}
	}
	return nil
}
