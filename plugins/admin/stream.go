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

// share limits a stream to one part in so many of a CPU: it waits at least share times
// as long as the last status took to build.
const share = 10

var errManyStreams = errors.New("too many live streams are open; poll the status instead")

// stream serves GET api/stream: an event "status" at once and every [Config].Every,
// with the body of api/status. A client that reads slowly gets fewer, because each is
// built after the one before has been written. The stream ends when the registry stops,
// or when the client does not read for ten seconds.
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
	h.Set("Cache-Control", "no-store, no-transform") // a proxy that compresses may keep events back
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
		// If no deadline can be set, the server's own WriteTimeout applies.
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
