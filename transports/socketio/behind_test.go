package socketio_test

import (
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/socketio"
)

// Clients follow, and change to WebSocket, behind middleware that compresses or
// copies answers, or answers preflights by itself.
func TestBehindMiddleware(t *testing.T) {
	for name, use := range map[string]echo.MiddlewareFunc{
		"Gzip":     middleware.Gzip(),
		"BodyDump": middleware.BodyDump(func(echo.Context, []byte, []byte) {}),
		"CORS":     middleware.CORS(),
		"Secure":   middleware.Secure(),
		"Recover":  middleware.Recover(),
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, way string) {
				s := newServer(t, socketio.Config{}, "things")
				e := echo.New()
				e.Use(use)
				s.sio = socketio.New(e.Group("/socket.io"))
				s.http.Config.Handler = e
				s.Tables["things"].Put(items(1, 200, "a note that compresses well, well, well")...)
				s.start()
				defer s.stop()
				u := s.dial(way)
				defer u.vanish()
				u.emits("things", "")
				cl := &wiretest.Client{}
				u.follow(cl, s.Token("things"))
				s.Put("things", items(100, 300, "again")...)
				u.follow(cl, s.Token("things"))
				s.Check(cl)
			})
		})
	}
}
