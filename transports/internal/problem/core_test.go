package problem_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// What clients are not told is in the errors of this test.
const secret = "host=internal"

func TestOfErrorsOfCore(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		told   bool
	}{
		{core.ErrUnknownBinding, http.StatusNotFound, true},
		{live.ErrRemoved, http.StatusNotFound, true},
		{live.ErrNotLoaded, http.StatusServiceUnavailable, true},
		{core.ErrTooManyMembers, http.StatusServiceUnavailable, true},
		{core.ErrBudget, http.StatusServiceUnavailable, true},
		{live.ErrClosed, http.StatusServiceUnavailable, true},
		{&core.ArgumentError{Binding: "b", Param: "venue", Detail: "is missing"}, http.StatusBadRequest, true},
		{&core.DeniedError{}, http.StatusForbidden, true},
		{&core.DeniedError{Challenge: `Bearer realm="x"`}, http.StatusUnauthorized, true},
		{errors.New("anything"), http.StatusServiceUnavailable, false},
	} {
		p, told := problem.Of("b", fmt.Errorf("%s: %w", secret, c.err))
		if p.Status != c.status || told != c.told || strings.Contains(string(p.JSON()), secret) {
			t.Errorf("%v: %s, told: %t", c.err, p.JSON(), told)
		}
		rec := httptest.NewRecorder()
		if err := p.Write(rec, httptest.NewRequest(http.MethodGet, "/", nil)); err != nil {
			t.Fatal(err)
		}
		if got := rec.Header().Get("WWW-Authenticate"); (got == `Bearer realm="x"`) != (c.status == http.StatusUnauthorized) {
			t.Errorf("%v: WWW-Authenticate %q", c.err, got)
		}
		if got := rec.Header().Get("Retry-After"); (got != "") != (c.status == http.StatusServiceUnavailable) {
			t.Errorf("%v: Retry-After %q", c.err, got)
		}
	}
}
