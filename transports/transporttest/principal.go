package transporttest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// PrincipalHeader is the header in which a harness over HTTP names the principal.
const PrincipalHeader = "Transporttest-Principal"

type principalKey struct{}

// Identify puts the principal of [PrincipalHeader] into the request's context, as an
// application's middleware does.
func Identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(WithPrincipal(r.Context(), r.Header.Get(PrincipalHeader))))
	})
}

// WithPrincipal returns a context with the principal.
func WithPrincipal(ctx context.Context, principal string) context.Context {
	return context.WithValue(ctx, principalKey{}, principal)
}

// Principal returns the context's principal, "" for none.
func Principal(ctx context.Context) string {
	principal, _ := ctx.Value(principalKey{}).(string)
	return principal
}

// Refusal translates an HTTP answer without success into the errors of this package:
// 404 is [ErrRefused], 503 is [ErrUnavailable], 403 is [ErrForbidden], 401 with a
// challenge is [ErrUnauthenticated], and 400 is a [*ParameterError] if the body is a
// problem (RFC 9457) whose member "errors" names a parameter. It reads the body and
// quotes it in the error.
func Refusal(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode == http.StatusUnauthorized && resp.Header.Get("WWW-Authenticate") == "" {
		return fmt.Errorf("%s without WWW-Authenticate: %.1000s", resp.Status, body)
	}
	return RefusalOf(resp.StatusCode, body)
}

// RefusalOf is [Refusal] for a problem in a message, where there are no headers.
func RefusalOf(status int, problem []byte) error {
	var err error
	switch status {
	case http.StatusNotFound:
		err = ErrRefused
	case http.StatusServiceUnavailable:
		err = ErrUnavailable
	case http.StatusForbidden:
		err = ErrForbidden
	case http.StatusUnauthorized:
		err = ErrUnauthenticated
	case http.StatusBadRequest:
		var p struct {
			Type   string
			Errors []struct{ Field string }
		}
		if json.Unmarshal(problem, &p) == nil && len(p.Errors) > 0 {
			err = &ParameterError{p.Errors[0].Field}
			break
		}
		if strings.HasSuffix(p.Type, ":malformed-mark") || strings.HasSuffix(p.Type, ":foreign-mark") {
			err = ErrNoMark
			break
		}
		fallthrough
	default:
		return fmt.Errorf("unexpected status %d: %.1000s", status, problem)
	}
	return fmt.Errorf("status %d: %w: %.1000s", status, err, problem)
}
