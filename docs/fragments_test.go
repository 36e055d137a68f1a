package docs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/client"
	"github.com/binderyhq/bindery/core/coretest"
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
	var sessions sessionStore
	config := socketio.Config{
		Auth: func(ctx context.Context, namespace string, auth json.RawMessage) (context.Context, error) {
			var given struct{ Token string }
			if err := json.Unmarshal(auth, &given); err != nil {
				return nil, err // connect_error "Unauthorized"
			}
			return sessions.Find(ctx, given.Token)
		},
	}
	if err := config.Validate(); err != nil {
		t.Error(err)
	}
	reg.Use(admin.New(e.Group("/admin"), admin.Config{Token: os.Getenv("ADMIN_TOKEN")}))
	reg.Use(metrics.New(e.Group("/metrics")))
	reg.Use(jsclient.New(e.Group("/bindery")))
	reg.Serve(sse.New(e.Group("/events")), websocket.New(e.Group("/ws")))
	reg.Serve(socketio.New(e.Group("/socket.io")))
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := reg.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	for path, want := range map[string]int{"/metrics": 200, "/admin/api/status": 401, "/bindery/bindery.js": 200, "/ws": 426} {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("GET %s: %d, want %d", path, w.Code, want)
		}
	}
}

// TestBearerFragment gives a page's token to middleware that reads Authorization.
func TestBearerFragment(t *testing.T) {
	e, reg := echo.New(), core.NewRegistry()
	var given string
	jwtMiddleware := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			given = c.Request().Header.Get("Authorization")
			return next(c)
		}
	}
	reg.Serve(websocket.New(e.Group("/ws", websocket.BearerHeader, jwtMiddleware)))
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reg.Shutdown(context.Background()) }()
	r := httptest.NewRequest(http.MethodGet, "/ws", nil)
	r.Header.Set("Sec-WebSocket-Protocol", "bindery, bindery.bearer.dG9rZW4")
	e.ServeHTTP(httptest.NewRecorder(), r)
	if given != "Bearer token" {
		t.Errorf("the middleware was given %q", given)
	}
}

type Product struct {
	ID    int     `json:"id"`
	Name  string  `json:"name"`
	Price float64 `json:"price"`
}

func followProducts(ctx context.Context, address string) error {
	products, err := client.Open[Product](address, "products") // https://shop.example/events
	if err != nil {
		return err
	}
	defer products.Close()
	for state := range products.States(ctx) {
		fmt.Println(state.Status, state.Version, state.Len())
		for p := range state.All() {
			fmt.Println(p.Name, p.Price)
		}
	}
	return nil
}

// tokenStore is where a program keeps its token.
type tokenStore struct{}

func (tokenStore) Get(context.Context) (string, error) { return "secret", nil }

func openShelf(address string) (*client.Rows[Product], error) {
	var tokens tokenStore
	shelf, err := client.Open[Product](address, "shelf", client.Config{
		Params: url.Values{"venue": {"store"}},
		Header: func(ctx context.Context) (http.Header, error) { // at each connection
			token, err := tokens.Get(ctx)
			return http.Header{"Authorization": {"Bearer " + token}}, err
		},
	})
	return shelf, err
}

// TestGoClientConfigFragment looks at what a client with parameters and a token asks for.
func TestGoClientConfigFragment(t *testing.T) {
	asked := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r:
		default:
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	shelf, err := openShelf(server.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer shelf.Close()
	r := <-asked
	if r.URL.Path != "/events/shelf" || r.FormValue("venue") != "store" || r.Header.Get("Authorization") != "Bearer secret" {
		t.Errorf("the client asked for %s with %v", r.URL, r.Header)
	}
}

// TestGoClientFragment follows until the first row is priced anew.
func TestGoClientFragment(t *testing.T) {
	table := coretest.NewTable[Product]("products", "id")
	e, reg := echo.New(), core.NewRegistry()
	reg.Add(core.Bind[Product]("products", table))
	reg.Watch(&coretest.Source{})
	reg.Serve(sse.New(e.Group("/events")))
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(e)
	defer server.Close()
	defer func() { _ = reg.Shutdown(context.Background()) }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it ends at once, without an error
	if err := followProducts(ctx, server.URL+"/events"); err != nil {
		t.Error(err)
	}
}
