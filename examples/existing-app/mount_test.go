package main

import (
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/sse"
)

// TestMuxes mounts the transports in applications that have no Echo.
func TestMuxes(t *testing.T) {
	db := openTest(t)
	insert(t, db, ticket("Printer", "acme"))
	const dashboard = "the application's own"
	own := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(dashboard)) }
	withLogin := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-User") == "" {
				http.Error(w, "sign in", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, withWho(r, who{partner: r.Header.Get("X-User")}))
		})
	}
	reg := core.NewRegistry()
	reg.Add(bunsource.Bind[Ticket](db, "open"))
	reg.Watch(bunsource.Hooks(db))
	// region servemux
	live := echo.New() // only a router for the transports
	reg.Serve(rest.New(live.Group("/live/api")), sse.New(live.Group("/live/events")))

	mux := http.NewServeMux()
	mux.HandleFunc("GET /dashboard", own)
	mux.Handle("/live/", withLogin(live)) // middleware of the kind func(http.Handler) http.Handler
	// endregion
	// region chi
	r := chi.NewRouter()
	r.Get("/dashboard", own)
	r.With(withLogin).Mount("/live", live)
	// endregion
	start(t, reg)
	for name, h := range map[string]http.Handler{"net/http": mux, "chi": r} {
		if w := ask(h, "GET", "/dashboard", ""); w.Body.String() != dashboard {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if w := ask(h, "GET", "/live/api/open", ""); w.Code != 401 {
			t.Errorf("%s: nobody gets %d", name, w.Code)
		}
		if w := ask(h, "GET", "/live/api/open", "", "X-User", "acme"); w.Code != 200 || subjects(t, w.Body.String()) != "Printer" ||
			!strings.Contains(w.Header().Get("Link"), "</live/events/open>") {
			t.Errorf("%s: %d %s %v", name, w.Code, w.Body, w.Header())
		}
		wants(t, stream(t, serve(t, h)+"/live/events/open", "X-User", "acme")(), `"action":"sync"`)
	}
}

// TestBehindPrefix strips a prefix, as proxies do.
func TestBehindPrefix(t *testing.T) {
	db := openTest(t)
	insert(t, db, ticket("Printer", "acme"), ticket("Screen", "acme"))
	for name, c := range map[string]struct {
		config rest.Config
		strip  func(http.Handler) http.Handler
	}{
		"a prefix that is known": {
			// region basepath
			rest.Config{BasePath: "/desk"},
			// endregion
			func(h http.Handler) http.Handler { return http.StripPrefix("/desk", h) },
		},
		"one that the proxy tells": {
			// region trusted
			rest.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
			// endregion
			func(h http.Handler) http.Handler {
				return http.StripPrefix("/desk", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r.Header.Set("X-Forwarded-Prefix", "/desk") // httptest's requests come from 192.0.2.1
					h.ServeHTTP(w, r)
				}))
			},
		},
	} {
		e, reg := echo.New(), core.NewRegistry()
		reg.Add(bunsource.Bind[Ticket](db, "open"))
		reg.Watch(bunsource.Hooks(db))
		reg.Serve(rest.New(e.Group("/api"), c.config), sse.New(e.Group("/events")))
		start(t, reg)
		w := ask(c.strip(e), "GET", "/desk/api/open?limit=1&offset=0", "")
		links := strings.Join(w.Header().Values("Link"), ", ")
		if w.Code != 200 || !strings.Contains(links, `</desk/api/open?limit=1&offset=1>; rel="next"`) || !strings.Contains(links, "</desk/events/open>") {
			t.Errorf("%s: %d %s", name, w.Code, links)
		}
	}
}

// Customer is a model in another database.
type Customer struct {
	bun.BaseModel `bun:"table:customers"`

	Name string `bun:"name,pk" json:"name"`
}

func TestSeveralDatabases(t *testing.T) {
	db := openTest(t)
	dsn := "file:" + filepath.Join(t.TempDir(), "billing.sqlite") + sqliteOptions
	// region databases
	billing, err := bunsource.Open("sqlite", dsn, sqlitedialect.New(), bunsource.Named("billing"))
	if err != nil {
		t.Fatal(err)
	}
	reg := core.NewRegistry()
	reg.Add(
		bunsource.Bind[Ticket](db, "open", core.Where(filter.Eq("open", true))),
		bunsource.Bind[Customer](billing, "customers"),
	)
	reg.Watch(bunsource.Hooks(db), bunsource.Hooks(billing))
	// endregion
	t.Cleanup(func() { _ = billing.Close() })
	if _, err := billing.NewCreateTable().Model((*Customer)(nil)).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := echo.New()
	reg.Serve(rest.New(e.Group("/api")))
	start(t, reg)
	insert(t, db, ticket("Printer", "acme"))
	if _, err := billing.NewInsert().Model(&Customer{Name: "acme"}).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := ask(e, "GET", "/api/open", ""); subjects(t, w.Body.String()) != "Printer" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask(e, "GET", "/api/customers", ""); !strings.Contains(w.Body.String(), `"acme"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestSeveralRegistries(t *testing.T) {
	db := openTest(t)
	e := echo.New()
	// region registries
	desk, public := core.NewRegistry(), core.Config{MemoryBudget: 64 << 20}.NewRegistry()
	desk.Add(bunsource.Bind[Ticket](db, "open", core.Where(filter.Eq("open", true))))
	desk.Watch(bunsource.Hooks(db))
	desk.Serve(rest.New(e.Group("/desk")))

	public.Add(bunsource.Bind[Ticket](db, "board", core.Columns("id", "subject"), core.OrderBy("-id"), core.Limit(20)))
	public.Watch(bunsource.Hooks(db))
	public.Serve(rest.New(e.Group("/public"), rest.Config{CacheControl: map[string]string{"": "public, max-age=1"}}))
	// endregion
	start(t, desk, public)
	insert(t, db, ticket("Printer", "acme"))
	for path, want := range map[string]string{"/desk/open": "acme", "/public/board": `[{"id":1,"subject":"Printer"}]`} {
		if w := ask(e, "GET", path, ""); !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := ask(e, "GET", "/public/open", ""); w.Code != 404 {
		t.Errorf("the other registry's binding: %d", w.Code)
	}
}

// TestKeysetPages walks through pages while rows come and go.
func TestKeysetPages(t *testing.T) {
	db := openTest(t)
	a, _ := started(t, db)
	for _, s := range []string{"a", "b", "c", "d", "e"} {
		insert(t, db, ticket(s, "acme"))
	}
	var seen []string
	target := "/live/api/open?limit=2&after="
	for target != "" {
		w := ask(a.echo, "GET", target, "", a.as("Ada")...)
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", target, w.Code, w.Body)
		}
		seen = append(seen, subjects(t, w.Body.String()))
		if len(seen) == 1 { // the rows of the first page go: nobody is skipped
			if _, err := db.NewDelete().Model((*Ticket)(nil)).Where("subject IN ?", bun.Tuple([]string{"a", "b"})).Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		target = nextLink(t, w.Header())
	}
	if got := strings.Join(seen, "; "); got != "a, b; c, d; e" {
		t.Errorf("pages: %s", got)
	}
	// The rows were deleted softly: they are in the table, and nobody is shown them.
	var rows int
	if err := db.NewSelect().Table("tickets").ColumnExpr("count(*)").Scan(t.Context(), &rows); err != nil || rows != 5 {
		t.Errorf("%d rows, %v", rows, err)
	}
	if w := ask(a.echo, "GET", "/live/api/open/1", "", a.as("Ada")...); w.Code != 404 {
		t.Errorf("a row that was deleted softly: %d", w.Code)
	}
	if w := ask(a.echo, "DELETE", "/live/api/open/3", "", a.as("Ada")...); w.Code != 204 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if err := db.NewSelect().Table("tickets").ColumnExpr("count(*)").Where("deleted_at IS NOT NULL").Scan(t.Context(), &rows); err != nil || rows != 3 {
		t.Errorf("%d rows are marked as deleted, %v", rows, err)
	}
}

func nextLink(t *testing.T, header http.Header) string {
	t.Helper()
	for _, value := range header.Values("Link") {
		for part := range strings.SplitSeq(value, ", ") {
			if target, ok := strings.CutSuffix(part, `>; rel="next"`); ok {
				u, err := url.Parse(strings.TrimPrefix(target, "<"))
				if err != nil {
					t.Fatal(err)
				}
				return u.RequestURI()
			}
		}
	}
	return ""
}
