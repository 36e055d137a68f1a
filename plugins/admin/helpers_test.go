package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/plugins/admin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "a-token-of-the-tests"

type item struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
	Live bool   `json:"live"`
}

// desk is a program with an admin: the binding items, the family named, and the
// scopes that an authorizer makes of items.
type desk struct {
	t      *testing.T
	table  *coretest.Table[item]
	source *coretest.Source
	reg    *core.Registry
	items  *core.Binding[item]
	named  *core.Family[item]
	echo   *echo.Echo
}

func newDesk(t *testing.T, cfg admin.Config) *desk {
	t.Helper()
	d := &desk{t: t, table: coretest.NewTable[item]("items", "id"), source: &coretest.Source{}, echo: echo.New()}
	d.reg = core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry()
	d.table.Put(item{1, "a", true}, item{2, "b", true}, item{3, "a", false})
	d.items = core.Bind("items", d.table, core.Where(filter.Eq("live", true)))
	d.named = core.BindFamily("named", d.table, core.Where(filter.Eq("name", filter.Param("name"))))
	_ = d.reg.Add(d.items, d.named)
	_ = d.reg.Watch(d.source)
	_ = d.reg.Serve(&coretest.Transport{})
	_ = d.reg.Use(admin.New(d.echo.Group("/admin"), cfg))
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := d.reg.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.stop)
	<-d.items.Loaded()
	return d
}

func (d *desk) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := d.reg.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
		d.t.Errorf("Shutdown: %v", err)
	}
}

// ask makes a request. Headers come in pairs.
func (d *desk) ask(method, target string, header ...string) *httptest.ResponseRecorder {
	d.t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	d.echo.ServeHTTP(w, r)
	return w
}

// do makes a request with the token, expects the status and reads the JSON.
func (d *desk) do(status int, method, target string, into any) *httptest.ResponseRecorder {
	d.t.Helper()
	w := d.ask(method, target, "Authorization", "Bearer "+token)
	if w.Code != status {
		d.t.Fatalf("%s %s: %d, want %d: %s", method, target, w.Code, status, w.Body)
	}
	if status >= 400 && w.Header().Get("Content-Type") != "application/problem+json" {
		d.t.Errorf("%s %s: Content-Type %q", method, target, w.Header().Get("Content-Type"))
	}
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			d.t.Fatalf("%s %s: %v: %s", method, target, err, w.Body)
		}
	}
	return w
}

func cookieOf(t *testing.T, w *httptest.ResponseRecorder) *http.Cookie {
	t.Helper()
	cookies := w.Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("cookies: %v", cookies)
	}
	return cookies[0]
}
