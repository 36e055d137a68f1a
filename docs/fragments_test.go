package docs

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/plugins/admin"
	"github.com/binderyhq/bindery/plugins/jsclient"
	"github.com/binderyhq/bindery/plugins/metrics"
	"github.com/binderyhq/bindery/transports/socketio"
	"github.com/binderyhq/bindery/transports/sse"
	"github.com/binderyhq/bindery/transports/websocket"
)

// sessionStore is what an application has to find sessions by.
type sessionStore struct{}

func (sessionStore) Find(ctx context.Context, token string) (context.Context, error) {
	if token == "" {
		return nil, errors.New("no session")
	}
	return ctx, nil
}

// TestFragments runs the lines that pages show by themselves.
func TestFragments(t *testing.T) {
	t.Setenv("ADMIN_TOKEN", "a-token-for-the-test")
	e, reg := echo.New(), core.NewRegistry()
	jwtMiddleware := func(next echo.HandlerFunc) echo.HandlerFunc { return next }
	var sessions sessionStore
	cfg := socketio.Config{
		Auth: func(ctx context.Context, namespace string, auth json.RawMessage) (context.Context, error) {
			var given struct{ Token string }
			if err := json.Unmarshal(auth, &given); err != nil {
				return nil, err // connect_error "Unauthorized"
			}
			return sessions.Find(ctx, given.Token)
		},
	}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	reg.Use(admin.New(e.Group("/admin"), admin.Config{Token: os.Getenv("ADMIN_TOKEN")}))
	reg.Use(metrics.New(e.Group("/metrics")))
	reg.Use(jsclient.New(e.Group("/bindery")))
	reg.Serve(sse.New(e.Group("/events")), websocket.New(e.Group("/ws")))
	reg.Serve(socketio.New(e.Group("/socket.io")))
	guarded := e.Group("/ws", websocket.BearerHeader, jwtMiddleware)
	guarded.GET("/hello", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := reg.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	for path, want := range map[string]int{"/metrics": 200, "/admin/api/status": 401, "/bindery/bindery.js": 200, "/ws/hello": 204, "/ws": 426} {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("GET %s: %d, want %d", path, w.Code, want)
		}
	}
}
