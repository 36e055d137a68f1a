package problem_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/transports/internal/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// every makes one problem of each kind.
func every() []*problem.Problem {
	return []*problem.Problem{
		problem.BadParameter("limit", "must be a number"), problem.MalformedQuery("d"), problem.MalformedBody("d"),
		problem.MalformedMessage("d"), problem.Unauthorized("d"), problem.Forbidden("d"), problem.OriginRefused(),
		problem.BadHandshake(http.StatusUpgradeRequired, "d"),
		problem.UnknownBinding("b"), problem.NotFound("d"), problem.MethodNotAllowed("PUT"),
		problem.PreconditionFailed(), problem.TooLarge(7), problem.UnsupportedMediaType("application/json"),
		problem.Invalid("d", problem.FieldError{Field: "price", Detail: "too low"}), problem.PreconditionMissing("d"),
		problem.TooMany("d"), problem.Internal(), problem.NotLoaded("b"), problem.ShuttingDown(), problem.Unavailable("d"),
	}
}

func TestEveryKindIsAnswered(t *testing.T) {
	titles := map[problem.Type]string{}
	for _, p := range every() {
		rec := httptest.NewRecorder()
		if err := p.Write(rec, httptest.NewRequest(http.MethodGet, "/", nil)); err != nil {
			t.Fatal(err)
		}
		if rec.Code != p.Status || rec.Code < 400 {
			t.Errorf("%s: answered %d", p.Type, rec.Code)
		}
		if got := rec.Header().Get("Content-Type"); got != problem.ContentType {
			t.Errorf("%s: Content-Type %q", p.Type, got)
		}
		if got := rec.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control %q", p.Type, got)
		}
		var body map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		if body["type"] != string(p.Type) || body["title"] != p.Title || body["status"] != float64(p.Status) {
			t.Errorf("%s: body %v", p.Type, body)
		}
		if !strings.HasPrefix(string(p.Type), "urn:bindery:problem:") {
			t.Errorf("type %q", p.Type)
		}
		// RFC 9457: the title does not change from occurrence to occurrence.
		if was, ok := titles[p.Type]; ok && was != p.Title {
			t.Errorf("%s is titled %q and %q", p.Type, was, p.Title)
		}
		titles[p.Type] = p.Title
	}
}

func TestRetryAfterIsRoundedUp(t *testing.T) {
	p := problem.Unavailable("busy")
	p.RetryAfter = 1100 * time.Millisecond
	rec := httptest.NewRecorder()
	if err := p.Write(rec, httptest.NewRequest(http.MethodGet, "/", nil)); err != nil {
		t.Fatal(err)
	}
	if got := rec.Header().Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After %q", got)
	}
}

func TestHeadHasNoBody(t *testing.T) {
	rec := httptest.NewRecorder()
	if err := problem.NotFound("x").Write(rec, httptest.NewRequest(http.MethodHead, "/", nil)); err != nil {
		t.Fatal(err)
	}
	if rec.Body.Len() != 0 || rec.Header().Get("Content-Length") == "0" {
		t.Errorf("body %q, Content-Length %s", rec.Body, rec.Header().Get("Content-Length"))
	}
}

func TestCopiesLeaveTheOriginalAlone(t *testing.T) {
	p := problem.NotFound("a")
	q := p.With("b").WithErrors(problem.FieldError{Field: "f", Detail: "d"})
	if p.Detail != "a" || p.Errors != nil || q.Detail != "b" || len(q.Errors) != 1 {
		t.Errorf("%+v, %+v", p, q)
	}
	var err error = q
	if as := (*problem.Problem)(nil); !errors.As(err, &as) || err.Error() != "Not found: b" {
		t.Errorf("as an error: %v", err)
	}
	if got := problem.Internal().Error(); got != "Internal error" {
		t.Errorf("without detail: %q", got)
	}
}
