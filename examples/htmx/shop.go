package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/transports/rest"
)

//go:embed page.html
var pageHTML string

// page has the templates "page" and "orders", the fragment that streams send.
var page = template.Must(template.New("page").Parse(pageHTML))

// shop has the handlers.
type shop struct{ reg *core.Registry }

func (s *shop) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", login)
	// 304 while this user's orders are what they were.
	mux.Handle("GET /{$}", rest.Conditions{Open: s.open, Refuse: refuse, Program: "htmx " + pageHTML}.Handler(http.HandlerFunc(s.page)))
	mux.HandleFunc("GET /stream", s.stream)
	return session(mux)
}

// userKey is where the session's user is in a request's context.
type userKey struct{}

// session stands for the application's own sessions: it believes its cookie.
func session(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("user"); err == nil {
			r = r.WithContext(context.WithValue(r.Context(), userKey{}, c.Value))
		}
		next.ServeHTTP(w, r)
	})
}

func userOf(ctx context.Context) string {
	user, _ := ctx.Value(userKey{}).(string)
	return user
}

func login(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: "user", Value: r.FormValue("user"), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// ownOrders allows everybody their own orders.
func ownOrders(ctx context.Context, a core.Access) (core.Decision, error) {
	if user, ok := a.Params.Get("user"); ok && user.String() == userOf(ctx) && user.String() != "" {
		return core.Allow(), nil
	}
	return core.Deny(), nil
}

// open opens the orders of whoever asks.
func (s *shop) open(r *http.Request) ([]*core.Grant, error) {
	g, err := s.reg.Open(r.Context(), "orders", core.Args{"user": userOf(r.Context())})
	return []*core.Grant{g}, err
}

func refuse(w http.ResponseWriter, _ *http.Request, err error) {
	var denied *core.DeniedError
	if errors.As(err, &denied) {
		http.Error(w, "sign in: /login?user=ann", http.StatusUnauthorized)
		return
	}
	w.Header().Set("Retry-After", "1")
	http.Error(w, "try again in a moment", http.StatusServiceUnavailable)
}

// shown is what the templates get: rows and version belong together.
type shown struct {
	User    string
	Version string
	Orders  []Order
}

func show(ctx context.Context, orders core.Snapshot[Order]) shown {
	s := shown{User: userOf(ctx), Version: orders.Version().Token}
	for o := range orders.All() {
		s.Orders = append(s.Orders, o)
	}
	return s
}

func (s *shop) page(w http.ResponseWriter, r *http.Request) {
	orders, err := core.Read[Order](r.Context(), rest.Granted(r.Context(), "orders"))
	if err != nil {
		refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, show(r.Context(), orders)) // the client has gone
}

// stream sends the list of orders whenever it has changed. It begins with what the
// page does not show: the page names its version.
func (s *shop) stream(w http.ResponseWriter, r *http.Request) {
	grants, err := s.open(r)
	if err != nil {
		refuse(w, r, err)
		return
	}
	defer grants[0].Close()
	known := r.FormValue("version")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		known = last
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache, no-store, no-transform") // and no proxy compresses it
	w.Header().Set("X-Accel-Buffering", "no")                           // nginx would gather events
	flush := http.NewResponseController(w).Flush
	if flush() != nil {
		return
	}
	for orders, err := range core.Follow[Order](r.Context(), grants[0]) {
		if err != nil { // no leave any more, or the end of the program: the browser comes back, and is told
			return
		}
		if orders.Version().Token == known {
			continue
		}
		var fragment bytes.Buffer
		if err := page.ExecuteTemplate(&fragment, "orders", show(r.Context(), orders)); err != nil {
			return
		}
		_, err := fmt.Fprintf(w, "id: %s\nevent: orders\ndata: %s\n\n", orders.Version().Token, strings.ReplaceAll(strings.TrimSpace(fragment.String()), "\n", "\ndata: "))
		if err != nil || flush() != nil {
			return
		}
	}
}
