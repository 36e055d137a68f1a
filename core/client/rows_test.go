package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/client"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/sse"
)

// quick reconnects at once.
var quick = client.Config{MinWait: time.Millisecond, MaxWait: 20 * time.Millisecond}

// await waits for a state that satisfies the condition.
func await[T any](t wiretest.TB, rows *client.Rows[T], what string, ok func(client.State[T]) bool) client.State[T] {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var last client.State[T]
	for s := range rows.States(ctx) {
		if last = s; ok(s) {
			return s
		}
	}
	t.Fatalf("never %s: %+v", what, last)
	return last
}

func mustOpen[T any](t wiretest.TB, url, binding string, cfg client.Config) *client.Rows[T] {
	t.Helper()
	rows, err := client.Open[T](url, binding, cfg)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return rows
}

// TestRowsFollowTheServer changes a table at random and compares what the client
// shows with what the binding holds at that version; the connection is cut now and
// then.
func TestRowsFollowTheServer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rig := wiretest.New(t, "things")
		e := echo.New()
		rig.Start(sse.New(e.Group("/events"), sse.Config{PageRows: 3, Retry: time.Millisecond}))
		server := httptest.NewServer(e)
		defer server.Close()
		defer rig.Stop()
		rows := mustOpen[wiretest.Item](t, server.URL+"/events", "things", quick)
		defer rows.Close()
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			ids := rapid.SliceOfNDistinct(rapid.IntRange(1, 9), 1, 4, rapid.ID[int]).Draw(t, "ids")
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				rig.Delete("things", ids...)
			case 1:
				server.CloseClientConnections()
			default:
				for _, id := range ids {
					rig.Put("things", wiretest.Item{ID: id, Name: rapid.String().Draw(t, "name")})
				}
			}
			want := rig.Token("things")
			s := await(t, rows, "the newest version", func(s client.State[wiretest.Item]) bool { return s.Version == want && s.Status == client.Live })
			if got, want := slices.Collect(s.All()), slices.Collect(rig.Bindings["things"].All()); !slices.Equal(got, want) {
				t.Fatalf("shows %v, want %v", got, want)
			}
		}
	})
}

// answers is a server that answers one request after the other.
type answers struct {
	*httptest.Server
	mu       sync.Mutex
	list     []http.HandlerFunc // guarded by mu
	requests []*http.Request    // guarded by mu
}

func answer(list ...http.HandlerFunc) *answers {
	a := &answers{list: list}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.requests = append(a.requests, r)
		h := a.list[min(len(a.requests), len(a.list))-1]
		a.mu.Unlock()
		h(w, r)
	}))
	return a
}

func (a *answers) asked() []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

// last is the version that the last request resumes from.
func (a *answers) last() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests[len(a.requests)-1].Header.Get("Last-Event-ID")
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"type":"urn:x","title":"T","status":%d,"detail":"D"}`, code)
	}
}

// sends begins a stream with the text, and keeps it open.
func sends(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		fmt.Fprint(w, text)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

func sync1(rows string) string {
	return `data: {"event":"p","action":"sync","payload":` + rows + `,"page":1,"pages":1,"order":["id"],"version":"v1"}` + "\n\n"
}

type item struct{ ID, Name any }

func TestRefusalsAndDelays(t *testing.T) {
	for name, c := range map[string]struct {
		answers []http.HandlerFunc
		header  bool
		status  int // that closes the client; 0: it gets rows
		asked   int
	}{
		"404":                          {[]http.HandlerFunc{status(404)}, false, 404, 1},
		"no content":                   {[]http.HandlerFunc{status(204)}, false, 204, 1},
		"401 without a token":          {[]http.HandlerFunc{status(401)}, false, 401, 1},
		"401 twice":                    {[]http.HandlerFunc{status(401)}, true, 401, 2},
		"a token that was renewed":     {[]http.HandlerFunc{status(401), sends(sync1("[]"))}, true, 0, 2},
		"503, 429, 500, then a stream": {[]http.HandlerFunc{status(503, "Retry-After", "0"), status(429), status(500), sends(sync1("[]"))}, false, 0, 4},
		"no stream, then one":          {[]http.HandlerFunc{status(200), sends(sync1("[]"))}, false, 0, 2},
		"a withdrawn right":            {[]http.HandlerFunc{sends(`data: {"event":"p","action":"error","payload":{"status":403}}` + "\n\n")}, false, 403, 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := answer(c.answers...)
			defer a.Close()
			cfg := quick
			tokens := 0
			if c.header {
				cfg.Header = func(context.Context) (http.Header, error) {
					tokens++
					return http.Header{"Authorization": {fmt.Sprint("Bearer ", tokens)}}, nil
				}
			}
			rows := mustOpen[item](t, a.URL+"/events", "p", cfg)
			defer rows.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			_, err := rows.Ready(ctx)
			var p *wire.Problem
			if c.status == 0 && err != nil || c.status != 0 && (!errors.As(err, &p) || p.Status != c.status) {
				t.Errorf("Ready: %v", err)
			}
			asked := a.asked()
			if len(asked) != c.asked {
				t.Errorf("asked %d times", len(asked))
			}
			if last := asked[len(asked)-1]; c.header && last.Header.Get("Authorization") != fmt.Sprint("Bearer ", len(asked)) {
				t.Errorf("headers %v", last.Header)
			}
		})
	}
}

// TestAddress: binding and parameters stand in the URL, whatever they hold.
func TestAddress(t *testing.T) {
	a := answer(sends(strings.Replace(strings.Replace(sync1("[]"), `"p"`, `"a.b~c"`, 1), `"action"`, `"params":{"venue":"é&"},"action"`, 1)))
	defer a.Close()
	cfg := quick
	cfg.Params = url.Values{"venue": {"é&"}}
	rows := mustOpen[item](t, a.URL+"/x/events/?key=1", "a.b~c", cfg)
	defer rows.Close()
	if _, err := rows.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	u := a.asked()[0].URL
	if u.Path != "/x/events/a.b~c" || u.Query().Get("venue") != "é&" || u.Query().Get("key") != "1" {
		t.Errorf("%v", u)
	}
}

// TestBounds: what is too long is not held.
func TestBounds(t *testing.T) {
	long := sync1(`[{"id":1,"name":"` + strings.Repeat("x", 2000) + `"}]`)
	a := answer(sends(long), sends(sync1("[]")))
	defer a.Close()
	cfg := quick
	cfg.MaxEvent = 1000
	rows := mustOpen[item](t, a.URL, "p", cfg)
	defer rows.Close()
	if s, err := rows.Ready(t.Context()); err != nil || s.Len() != 0 || rows.Counts().Resyncs != 1 {
		t.Errorf("an event: %+v, %v", rows.Counts(), err)
	}

	b := answer(sends(sync1(`[{"id":1,"name":"`+strings.Repeat("x", 100)+`"}]`) +
		`data: {"event":"p","action":"create","payload":[{"id":2,"name":"` + strings.Repeat("y", 200) + `"}],"version":"v2"}` + "\n\n"))
	defer b.Close()
	cfg.MaxBytes = 300
	held := mustOpen[item](t, b.URL, "p", cfg)
	defer held.Close()
	if s := await(t, held, "closed", func(s client.State[item]) bool { return s.Status == client.Closed }); !errors.Is(s.Err, client.ErrTooLarge) {
		t.Errorf("rows: %v", s.Err)
	}
}

// TestRowsOfAnotherType: a row that is no T is the program's mistake, and said.
func TestRowsOfAnotherType(t *testing.T) {
	for rows, want := range map[string]string{`[{"id":1,"Name":7}]`: "row 1 of binding", `[{"Name":"x"}]`: `has no field "id"`} {
		a := answer(sends(sync1(rows)))
		c := mustOpen[struct {
			ID   int
			Name string
		}](t, a.URL, "p", quick)
		if _, err := c.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		_ = c.Close()
		a.Close()
	}
}

// TestSilence: a connection on which nothing is heard is given up; rows stay.
func TestSilence(t *testing.T) {
	// On a busy machine a connection may be given up before anything is read from it,
	// so the answer depends on what the client holds, and not on how often it has asked.
	var away atomic.Bool
	away.Store(true)
	a := answer(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Last-Event-ID") != "v1":
			sends(sync1(`[{"id":1}]`))(w, r)
		case away.Load():
			status(503)(w, r)
		default:
			sends(`data: {"event":"p","action":"sync","payload":"ok","version":"v1"}`+"\n\n")(w, r)
		}
	})
	defer a.Close()
	cfg := quick
	cfg.Silence = 50 * time.Millisecond
	rows := mustOpen[item](t, a.URL, "p", cfg)
	defer rows.Close()
	s := await(t, rows, "stale", func(s client.State[item]) bool { return s.Status == client.Stale && s.Len() == 1 })
	if s.Version != "v1" || s.Err == nil {
		t.Errorf("%+v", s)
	}
	// It asks again until it is answered, and always for what came after the rows it holds.
	for end := time.Now().Add(60 * time.Second); a.last() != "v1"; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it asked %d times and did not resume", len(a.asked()))
		}
	}
	away.Store(false)
	await(t, rows, "live again", func(s client.State[item]) bool { return s.Status == client.Live && s.Len() == 1 })
}

func TestConfigIsChecked(t *testing.T) {
	for want, open := range map[string]func() (*client.Rows[item], error){
		"no URL":  func() (*client.Rows[item], error) { return client.Open[item]("localhost:80/events", "p") },
		"no name": func() (*client.Rows[item], error) { return client.Open[item]("http://h/events", "") },
		"MinWait": func() (*client.Rows[item], error) {
			return client.Open[item]("http://h", "p", client.Config{MinWait: time.Hour})
		},
		"is negative": func() (*client.Rows[item], error) {
			return client.Open[item]("http://h", "p", client.Config{MaxBytes: -1})
		},
		"without a": func() (*client.Rows[item], error) {
			return client.Open[item]("http://h", "p", client.Config{Key: []string{""}})
		},
		"end streams": func() (*client.Rows[item], error) {
			return client.Open[item]("http://h", "p", client.Config{HTTP: &http.Client{Timeout: 1}})
		},
		"more than one": func() (*client.Rows[item], error) { return client.Open[item]("http://h", "p", quick, quick) },
	} {
		if _, err := open(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
