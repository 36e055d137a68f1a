package resttest

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/filter"
)

// Record is the row of the tests of families and of the authorizer.
type Record struct {
	ID    int64  `json:"id"`
	Owner string `json:"owner"`
	Title string `json:"title"`
}

// Store is a registry with records: "records" are all of them, the family "of" those of
// one owner. Both are writable, and "open", which has all of them too, is not.
type Store struct {
	T      testing.TB
	Echo   *echo.Echo
	Reg    *core.Registry
	Table  *coretest.Table[Record]
	Source *coretest.Source
	Clock  *Clock
}

type principalKey struct{}

// Principal returns who makes the request with this context: the request's header
// Principal.
func Principal(ctx context.Context) string {
	who, _ := ctx.Value(principalKey{}).(string)
	return who
}

// NewStore starts a registry with five records. serve returns the transport to test,
// and may be nil. The authorizer is nil for none; the options are those of the family.
func NewStore(t testing.TB, authorizer core.Authorizer, serve func(*echo.Echo) core.Transport, opts ...core.Option) *Store {
	t.Helper()
	s := &Store{T: t, Echo: echo.New(), Table: coretest.NewTable[Record]("records", "id"), Source: &coretest.Source{}, Clock: NewClock()}
	s.Table.Put(Record{1, "ann", "one"}, Record{2, "bob", "two"}, Record{3, "ann", "three"}, Record{4, "bob", "four"}, Record{5, "ann & co", "five"})
	s.Reg = core.Config{Logger: slog.New(slog.DiscardHandler), LoadWait: 5 * time.Second, Now: s.Clock.Now}.NewRegistry()
	s.Echo.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			c.SetRequest(r.WithContext(context.WithValue(r.Context(), principalKey{}, r.Header.Get("Principal"))))
			return next(c)
		}
	})
	of := append([]core.Option{core.Where(filter.Eq("owner", filter.Param("owner"))), core.Writable()}, opts...)
	start(t, s.Reg, s.Echo, authorizer, s.Source, serve,
		core.Bind("records", s.Table, core.Writable()), core.BindFamily("of", s.Table, of...), core.Bind("open", s.Table))
	return s
}

// Put writes rows and returns when they show.
func (s *Store) Put(rows ...Record) {
	s.T.Helper()
	if err := s.Source.Report(s.T.Context(), s.Table.Put(rows...)); err != nil {
		s.T.Fatal(err)
	}
}

// As makes a request as the principal.
func (s *Store) As(principal, method, target, body string, headers ...string) *http.Response {
	s.T.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body)).WithContext(s.T.Context())
	r.Header.Set("Principal", principal)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	s.Echo.ServeHTTP(rec, r)
	return rec.Result()
}

// Until waits for a condition, and fails the test if it does not come true.
func (s *Store) Until(what string, condition func() bool) {
	s.T.Helper()
	Until(s.T, what, condition)
}
