package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// writeTimeout is how long a client may leave a stream unread.
const writeTimeout = 10 * time.Second

// share is how many times longer than it takes to build a status a stream waits
// before the next one.
const share = 10

var errManyStreams = errors.New("too many live streams are open; poll the status instead")

// stream serves GET api/stream: an event "status" at once and every
// [Config].Every, with the body of api/status. A client that reads slowly gets
// fewer: each is built when the one before has been written. The stream ends when
// the registry stops, and when the client does not read for ten seconds.
func (p *Plugin) stream(c echo.Context) error {
	if c.Request().Method == http.MethodHead {
		c.Response().Header().Set("Content-Type", "text/event-stream")
		return c.NoContent(http.StatusOK)
	}
	if p.streams.Add(1) > int64(p.cfg.MaxStreams) {
		p.streams.Add(-1)
		return unavailable("too-many", "Too many streams", errManyStreams).write(c)
	}
	defer p.streams.Add(-1)
	h := c.Response().Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	c.Response().WriteHeader(http.StatusOK)
	control := http.NewResponseController(c.Response())
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-c.Request().Context().Done():
			return nil
		case <-p.reg.Stopping().Done():
			return nil
		case <-next.C:
		}
		begun := time.Now()
		body, err := json.Marshal(p.status())
		if err != nil {
			return err
		}
		took := time.Since(begun)
		// Where no deadline can be set the server's own WriteTimeout holds.
		_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := c.Response().Write(append(append([]byte("event: status\ndata: "), body...), "\n\n"...)); err != nil {
			return nil // the client has gone
		}
		if err := control.Flush(); err != nil {
			return nil
		}
		next.Reset(max(p.cfg.Every, share*took))
	}
}
