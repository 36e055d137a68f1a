package ndjson

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/binderyhq/bindery/core"
)

// problem is a body as RFC 9457 describes it.
type problem struct {
	Title  string  `json:"title"`
	Status int     `json:"status"`
	Errors []field `json:"errors,omitempty"`
}

type field struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// refuse says why there is no stream, which is an error of [core.Registry.Open].
// The text of an error that is not known here may say anything, so it goes to the
// log.
func (t *Transport) refuse(w http.ResponseWriter, err error) {
	var argument *core.ArgumentError
	var denied *core.DeniedError
	var p problem
	switch {
	case errors.As(err, &argument):
		p = problem{"a parameter is wrong", http.StatusBadRequest, []field{{argument.Param, argument.Detail}}}
	case errors.As(err, &denied) && denied.Challenge != "":
		w.Header().Set("WWW-Authenticate", denied.Challenge)
		p = problem{Title: "say who you are", Status: http.StatusUnauthorized}
	case errors.As(err, &denied):
		p = problem{Title: "this is not allowed", Status: http.StatusForbidden}
	case errors.Is(err, core.ErrUnknownBinding):
		p = problem{Title: "there is no such binding", Status: http.StatusNotFound}
	default:
		t.reg.Logger().Error("ndjson: a stream could not be opened", "err", err)
		w.Header().Set("Retry-After", "2")
		p = problem{Title: "not now", Status: http.StatusServiceUnavailable}
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a client that has gone needs no answer
}
