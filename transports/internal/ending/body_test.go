package ending

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core/wire/wiretest"
)

// served is what a handler saw of a body.
type served struct {
	body string
	err  error
	gone bool // the request's context has ended
}

// bodyServer reads the body of each request within the timeout, and until the
// context is done.
func bodyServer(t *testing.T, h2 bool, timeout time.Duration, until context.Context, then func(r *http.Request)) (*httptest.Server, <-chan served) {
	t.Helper()
	seen := make(chan served, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer LimitBody(w, r, timeout, until).End()
		b, err := io.ReadAll(r.Body)
		if then != nil {
			then(r)
		}
		if err != nil {
			CloseConnection(w, r)
		}
		seen <- served{string(b), err, r.Context().Err() != nil}
	}))
	srv.EnableHTTP2 = h2
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv, seen
}

// post sends the start of a body, and the rest when it is closed.
func post(t *testing.T, srv *httptest.Server, start string) (rest *io.PipeWriter) {
	t.Helper()
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, io.MultiReader(strings.NewReader(start), r))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if resp, err := srv.Client().Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func protocols(t *testing.T, test func(t *testing.T, h2 bool)) {
	t.Run("HTTP/1.1", func(t *testing.T) { test(t, false) })
	t.Run("HTTP/2", func(t *testing.T) { test(t, true) })
}

func TestSlowBody(t *testing.T) {
	protocols(t, func(t *testing.T, h2 bool) {
		// What is sent has its time to arrive.
		wiretest.Patiently(t, 20*time.Millisecond, func(try wiretest.TB, timeout time.Duration) {
			srv, seen := bodyServer(t, h2, timeout, t.Context(), nil)
			post(t, srv, "half")
			if got := <-seen; !errors.Is(got.err, ErrSlowBody) || got.body != "half" {
				try.Errorf("%+v", got)
			}
		})
	})
}

func TestBodyIsCut(t *testing.T) {
	protocols(t, func(t *testing.T, h2 bool) {
		until, cancel := context.WithCancel(t.Context())
		srv, seen := bodyServer(t, h2, time.Minute, until, nil)
		post(t, srv, "half")
		cancel()
		if got := <-seen; !errors.Is(got.err, ErrBodyCut) {
			t.Errorf("%+v", got)
		}
	})
}

// A body that has come in time is not in the way of what is done with it, however
// long that takes and whatever ends meanwhile.
func TestLimitEndsWithTheBody(t *testing.T) {
	protocols(t, func(t *testing.T, h2 bool) {
		wiretest.Patiently(t, 50*time.Millisecond, func(try wiretest.TB, timeout time.Duration) {
			until, cancel := context.WithCancel(t.Context())
			defer cancel()
			srv, seen := bodyServer(t, h2, timeout, until, func(r *http.Request) {
				cancel()
				select {
				case <-r.Context().Done():
				case <-time.After(4 * timeout):
				}
			})
			_ = post(t, srv, "whole").Close()
			if got := <-seen; got.err != nil || got.body != "whole" || got.gone {
				try.Errorf("%+v", got)
			}
		})
	})
}

// pipeServer serves the handler over pipes, inside a bubble.
func pipeServer(t *testing.T, h http.HandlerFunc) *wiretest.Pipes {
	network, served := wiretest.ListenPipes(), make(chan error, 1)
	srv := &http.Server{Handler: h}
	go func() { served <- srv.Serve(network) }()
	t.Cleanup(func() {
		_ = srv.Close()
		<-served
	})
	return network
}

// The connection is used again after a body that was read, also beyond the time
// that the body had.
func TestConnectionIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = time.Second
		network := pipeServer(t, func(w http.ResponseWriter, r *http.Request) {
			defer LimitBody(w, r, timeout).End()
			if b, err := io.ReadAll(r.Body); err != nil || string(b) != "whole" {
				t.Errorf("%q, %v", b, err)
			}
			time.Sleep(2 * timeout)
			if err := r.Context().Err(); err != nil {
				t.Errorf("the request has ended: %v", err)
			}
		})
		c, err := network.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		answers := bufio.NewReader(c)
		for range 3 {
			if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nwhole"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(answers, nil)
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%+v, %v", resp, err)
			}
			time.Sleep(2 * timeout)
		}
	})
}

// A body that is read when its time is over is late, even if all of it has come
// meanwhile: the server ends such a request by itself, and a write would be given up
// halfway.
func TestBodyThatIsReadLate(t *testing.T) {
	for _, want := range []error{ErrSlowBody, ErrBodyCut} {
		synctest.Test(t, func(t *testing.T) {
			until, cancel := context.WithCancel(t.Context())
			network := pipeServer(t, func(w http.ResponseWriter, r *http.Request) {
				timeout := time.Second
				if want == ErrBodyCut {
					timeout = time.Hour
					cancel()
				}
				defer LimitBody(w, r, timeout, until).End()
				time.Sleep(time.Second)
				for range 2 {
					if _, err := io.ReadAll(r.Body); !errors.Is(err, want) {
						t.Errorf("%v, want %v", err, want)
					}
				}
				CloseConnection(w, r)
				w.WriteHeader(http.StatusRequestTimeout)
			})
			defer cancel()
			c, err := network.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nwhole"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || resp.StatusCode != http.StatusRequestTimeout {
				t.Errorf("%+v, %v", resp, err)
			}
		})
	}
}

// Without deadlines a goroutine reads, which is left behind.
func TestWriterWithoutDeadlines(t *testing.T) {
	for _, want := range []error{ErrSlowBody, ErrBodyCut, nil} {
		r, w := io.Pipe()
		req := httptest.NewRequest(http.MethodPost, "/", r)
		until, cancel := context.WithCancel(t.Context())
		timeout := time.Minute
		go func() {
			_, _ = w.Write([]byte("half"))
			switch want {
			case ErrBodyCut:
				cancel()
			case nil:
				_ = w.Close()
			}
		}()
		if want == ErrSlowBody {
			timeout = 20 * time.Millisecond
		}
		b := LimitBody(httptest.NewRecorder(), req, timeout, until)
		got, err := io.ReadAll(req.Body)
		if !errors.Is(err, want) || want == nil && string(got) != "half" {
			t.Errorf("%q, %v, want %v", got, err, want)
		}
		b.End()
		cancel()
		_ = w.Close() // lets the goroutine go
	}
}

// A reader that panics does so on no goroutine that nobody watches.
func TestReaderThatPanics(t *testing.T) {
	req := httptest.NewRequest(http.MethodPost, "/", panickingReader{})
	defer LimitBody(httptest.NewRecorder(), req, time.Minute).End()
	if _, err := io.ReadAll(req.Body); err == nil {
		t.Error("no error")
	}
}

type panickingReader struct{}

func (panickingReader) Read([]byte) (int, error) { panic("no body") }

// A handler that answers without reading leaves no connection that keeps the
// server's Shutdown waiting for the client to go on.
func TestServerEndsDespiteUnreadBodies(t *testing.T) {
	for name, handle := range map[string]http.HandlerFunc{
		"left": func(w http.ResponseWriter, r *http.Request) {
			Leave(w, r)
			w.WriteHeader(http.StatusMethodNotAllowed)
		},
		"limited": func(w http.ResponseWriter, r *http.Request) {
			defer LimitBody(w, r, time.Minute).End()
			w.WriteHeader(http.StatusMethodNotAllowed)
		},
		"discarded": func(w http.ResponseWriter, r *http.Request) {
			if !errors.Is(Discard(w, r), ErrSlowBody) {
				t.Error("it was discarded")
			}
			CloseConnection(w, r)
			w.WriteHeader(http.StatusMethodNotAllowed)
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(handle)
			defer srv.Close()
			c, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(c).ReadString('\n')
			if err != nil || !strings.Contains(line, "405") {
				t.Errorf("%q, %v", line, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			if err := srv.Config.Shutdown(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// A client that waits for "100 Continue" before it sends the body is answered at once,
// and need not send it.
func TestRefusalBeforeTheBody(t *testing.T) {
	for name, handle := range map[string]http.HandlerFunc{
		"left": func(w http.ResponseWriter, r *http.Request) {
			Leave(w, r)
			w.WriteHeader(http.StatusUnsupportedMediaType)
		},
		"limited": func(w http.ResponseWriter, r *http.Request) {
			defer LimitBody(w, r, time.Minute).End()
			w.WriteHeader(http.StatusUnsupportedMediaType)
		},
		"limited, answered early": func(w http.ResponseWriter, r *http.Request) {
			defer LimitBody(w, r, time.Minute).End()
			Leave(w, r)
			w.WriteHeader(http.StatusUnsupportedMediaType)
			_ = http.NewResponseController(w).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := pipeServer(t, handle).Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = c.Close() }()
				begun := time.Now()
				if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				line, err := bufio.NewReader(c).ReadString('\n')
				if err != nil || !strings.Contains(line, "415") || time.Since(begun) > 0 {
					t.Errorf("%q, %v, after %v of the bubble's time", line, err, time.Since(begun))
				}
			})
		})
	}
}

func TestDiscard(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", strings.NewReader("nothing of interest"))
	if err := Discard(httptest.NewRecorder(), r); err != nil {
		t.Error(err)
	}
	if err := Discard(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)); err != nil {
		t.Error(err)
	}
	r = httptest.NewRequest(http.MethodGet, "/", bytes.NewReader(make([]byte, discardLimit+1)))
	if err := Discard(httptest.NewRecorder(), r); !errors.Is(err, ErrSlowBody) {
		t.Errorf("a long body: %v", err)
	}
}
