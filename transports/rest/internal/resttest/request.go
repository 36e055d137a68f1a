package resttest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Do makes a request of the handler; headers are pairs of name and value.
func Do(t testing.TB, h http.Handler, method, target string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil).WithContext(t.Context())
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec.Result()
}

// Body returns the body of an answer.
func Body(t testing.TB, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Decode returns the JSON value in the body of an answer.
func Decode[T any](t testing.TB, res *http.Response) (v T) {
	t.Helper()
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// Want checks the status of an answer, and that errors are problem documents.
func Want(t testing.TB, res *http.Response, status int) {
	t.Helper()
	if res.StatusCode != status {
		t.Fatalf("status %d, want %d: %s", res.StatusCode, status, Body(t, res))
	}
	if status >= 400 {
		if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("Content-Type %q of an error", got)
		}
	}
}

// Until waits for a condition, and fails the test if it does not come true.
func Until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// Take returns the answer that arrives on the channel.
func Take(t testing.TB, answer <-chan *http.Response) *http.Response {
	t.Helper()
	select {
	case res := <-answer:
		return res
	case <-time.After(60 * time.Second):
		t.Fatal("no answer")
		return nil
	}
}
