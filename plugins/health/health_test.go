package health_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/plugins/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type thing struct {
	ID int `json:"id"`
}

func ask(t *testing.T, h http.Handler, method string) (code int, header http.Header, body map[string]any) {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(method, "/", nil))
	if strings.HasPrefix(rec.Header().Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
			t.Fatalf("%s: %v", rec.Body, err)
		}
	}
	if rec.Header().Get("Cache-Control") != "no-store" {
		t.Error("the answer may be cached")
	}
	return rec.Code, rec.Header(), body
}

// drained is a transport that notes how it is drained.
type drained struct {
	coretest.Transport
	mu    sync.Mutex
	began time.Time
	over  time.Duration
	err   error
}

func (d *drained) Drain(_ context.Context, over time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.began, d.over = time.Now(), over
	return d.err
}

func (d *drained) Status() status.Transport { return status.Transport{Open: 7} }

// TestReady goes through the life of a registry.
func TestReady(t *testing.T) {
	tab := coretest.NewTable[thing]("things", "id")
	tab.Put(thing{1})
	secret := errors.New("dial db.internal:5432: refused")
	tab.Fail(secret)
	source := &coretest.Source{}
	reg := core.Config{Logger: slog.New(slog.DiscardHandler), LoadWait: -1}.NewRegistry()
	b := core.Bind("things", tab)
	_ = reg.Add(b)
	_ = reg.Watch(source)
	h, frank := health.New(reg), health.New(reg, health.Config{Errors: true})
	expect := func(code int, word string, why string) {
		t.Helper()
		got, header, body := ask(t, h.Ready(), http.MethodGet)
		if got != code || body["status"] != word || (header.Get("Retry-After") != "") != (code == http.StatusServiceUnavailable) {
			t.Errorf("%d %v, want %d %s", got, body, code, word)
		}
		reasons, _ := body["why"].(map[string]any)
		if reason, _ := reasons["things"].(string); !strings.Contains(reason, why) || (reason == "") != (why == "") {
			t.Errorf("why: %q, want %q", reason, why)
		}
		if text, _ := json.Marshal(body); strings.Contains(string(text), "db.internal") {
			t.Errorf("the database's words: %s", text)
		}
		if code, _, _ := ask(t, h.Live(), http.MethodGet); code != http.StatusOK {
			t.Errorf("alive: %d", code)
		}
	}
	eventually := func(state status.State) {
		t.Helper()
		for end := time.Now().Add(60 * time.Second); b.Status().State != state || state == status.Loading && b.Status().Err == nil; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("it is %s, never %s", b.Status().State, state)
			}
		}
	}
	expect(http.StatusServiceUnavailable, "loading", "")
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(status.Loading)
	expect(http.StatusServiceUnavailable, "loading", "cannot be read")
	if _, _, body := ask(t, frank.Ready(), http.MethodGet); !strings.Contains(body["errors"].(map[string]any)["things"].(string), secret.Error()) {
		t.Errorf("with errors: %v", body)
	}
	tab.Fail(nil)
	if err := b.Resync(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(status.Live)
	expect(http.StatusOK, "ready", "")
	source.Sink().Lost(secret)
	expect(http.StatusOK, "stale", `source "coretest" does not see changes`)
	source.Sink().Watching()
	eventually(status.Live)
	tab.Fail(secret)
	_ = reg.Resync(contextOf(t, time.Millisecond))
	eventually(status.Stale)
	expect(http.StatusOK, "stale", "the database")
	tab.Fail(nil)
	if err := reg.Drain(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if code, _, body := ask(t, h.Ready(), http.MethodGet); code != http.StatusServiceUnavailable || body["status"] != "draining" {
		t.Errorf("while it drains: %d %v", code, body)
	}
	if err := reg.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if code, _, body := ask(t, h.Ready(), http.MethodHead); code != http.StatusServiceUnavailable || body["status"] != "stopped" {
		t.Errorf("after the shutdown: %d %v", code, body)
	}
	if code, header, _ := ask(t, h.Ready(), http.MethodPost); code != http.StatusMethodNotAllowed || header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d", code)
	}
}

func contextOf(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestDrain: not ready at once, then a delay, then streams end over a time.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		reg := core.Config{Logger: slog.New(slog.NewTextHandler(&logged, nil))}.NewRegistry()
		transport := &drained{}
		_ = reg.Serve(transport, &coretest.Transport{})
		h := health.New(reg, health.Config{Delay: 2 * time.Second, Spread: 3 * time.Second})
		if err := h.Drain(t.Context()); err != nil || !transport.began.IsZero() {
			t.Errorf("before the start: %v", err)
		}
		if err := reg.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		done := make(chan error)
		go func() { done <- h.Drain(t.Context()) }()
		synctest.Wait()
		if rd := reg.Ready(); rd.Ready || !rd.Draining {
			t.Errorf("at once: %+v", rd)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if at := transport.began.Sub(begun); at != 2*time.Second || transport.over != 3*time.Second {
			t.Errorf("drained after %v, over %v", at, transport.over)
		}
		transport.err = errors.New("stuck")
		if err := h.Drain(t.Context()); err == nil || !strings.Contains(err.Error(), "stuck") {
			t.Errorf("a transport that fails: %v", err)
		}
		ended, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.Drain(ended); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without time: %v", err)
		}
		go func() { done <- h.Drain(t.Context()) }()
		synctest.Wait()
		if err := reg.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Errorf("while it is shut down: %v", err)
		}
		if n := strings.Count(logged.String(), "id=health-draining"); n != 4 || !strings.Contains(logged.String(), "open=7") {
			t.Errorf("logged:\n%s", &logged)
		}
	})
}

// TestDefaults are those that the documentation tells.
func TestDefaults(t *testing.T) {
	if c := (health.Config{}).WithDefaults(); c.Delay != 5*time.Second || c.Spread != 5*time.Second {
		t.Errorf("%+v", c)
	}
	synctest.Test(t, func(t *testing.T) {
		reg := core.Config{Logger: slog.New(slog.DiscardHandler)}.NewRegistry()
		if err := reg.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := health.New(reg, health.Config{Delay: -1, Spread: -1}).Drain(t.Context()); err != nil || time.Since(begun) > 0 {
			t.Errorf("%v, after %v", err, time.Since(begun))
		}
		if err := reg.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
