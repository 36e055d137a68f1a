// Package problem has the errors that clients see, the same over every transport:
// problem details as in RFC 9457.
//
// A [Problem] is made for the client. Internal details (a driver's message, a host
// name, a query) go to the log and never into a Problem.
package problem

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/binderyhq/bindery/transports/internal/ending"
)

// ContentType is the media type of an encoded Problem.
const ContentType = "application/problem+json"

// Type names a kind of problem. Types are stable: clients compare them. They
// are URNs, since there is nothing to be fetched.
type Type string

// The types of problems. A type that has only one status is made by the function of the
// same name.
const (
	TypeBadParameter        Type = "urn:bindery:problem:bad-parameter"
	TypeMalformedBody       Type = "urn:bindery:problem:malformed-body"
	TypeMalformedMessage    Type = "urn:bindery:problem:malformed-message"
	TypeUnauthorized        Type = "urn:bindery:problem:unauthorized"
	TypeForbidden           Type = "urn:bindery:problem:forbidden"
	TypeOriginRefused       Type = "urn:bindery:problem:origin-refused"
	TypeBadHandshake        Type = "urn:bindery:problem:bad-handshake"
	TypeUnknownBinding      Type = "urn:bindery:problem:unknown-binding"
	TypeNotFound            Type = "urn:bindery:problem:not-found"
	TypeMethodNotAllowed    Type = "urn:bindery:problem:method-not-allowed"
	TypeSlowBody            Type = "urn:bindery:problem:slow-body"
	TypePreconditionFailed  Type = "urn:bindery:problem:precondition-failed"
	TypeTooLarge            Type = "urn:bindery:problem:too-large"
	TypeUnsupportedMedia    Type = "urn:bindery:problem:unsupported-media-type"
	TypeInvalid             Type = "urn:bindery:problem:invalid"
	TypePreconditionMissing Type = "urn:bindery:problem:precondition-missing"
	TypeTooMany             Type = "urn:bindery:problem:too-many"
	TypeInternal            Type = "urn:bindery:problem:internal"
	TypeNotLoaded           Type = "urn:bindery:problem:not-loaded"
	TypeShuttingDown        Type = "urn:bindery:problem:shutting-down"
	TypeOverBudget          Type = "urn:bindery:problem:over-budget"
	TypeMalformedMark       Type = "urn:bindery:problem:malformed-mark"
	TypeForeignMark         Type = "urn:bindery:problem:foreign-mark"
	TypeNotReached          Type = "urn:bindery:problem:not-reached"
	TypeNotJoined           Type = "urn:bindery:problem:not-joined"
	TypeUnreadable          Type = "urn:bindery:problem:unreadable-row"
	TypeUnavailable         Type = "urn:bindery:problem:unavailable"
)

// Problem is one error as clients see it. It marshals to the JSON of RFC 9457, and is
// an error itself. Do not modify a Problem that was handed out: [Problem.With] and
// [Problem.WithErrors] return copies.
type Problem struct {
	// Type says what kind of problem it is.
	Type Type `json:"type"`
	// Title says the same in words for people. It depends only on the type.
	Title string `json:"title"`
	// Status is the HTTP status code, also over transports without HTTP answers.
	Status int `json:"status"`
	// Detail explains this occurrence; "" for none.
	Detail string `json:"detail,omitempty"`
	// Instance is a URI reference of this occurrence, "" for none.
	Instance string `json:"instance,omitempty"`
	// Errors lists the invalid fields of a request.
	Errors []FieldError `json:"errors,omitempty"`
	// RetryAfter tells the client when to try again. It is rounded up to full seconds;
	// 0 says nothing.
	RetryAfter time.Duration `json:"-"`
	// Challenge tells the client how to authenticate. It is the value of the header
	// WWW-Authenticate; "" for none.
	Challenge string `json:"-"`
}

// FieldError describes the error in one field, or one parameter, of a request.
type FieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// Error implements error.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

// With returns a copy with this detail.
func (p *Problem) With(detail string) *Problem {
	c := *p
	c.Detail = detail
	return &c
}

// WithErrors returns a copy that lists these fields.
func (p *Problem) WithErrors(errs ...FieldError) *Problem {
	c := *p
	c.Errors = errs
	return &c
}

// JSON returns the encoded problem, ready to be sent as a body or as part of a
// message.
func (p *Problem) JSON() []byte {
	b, err := json.Marshal(p)
	if err != nil { // strings and numbers always marshal
		panic("problem: encoding a problem: " + err.Error())
	}
	return b
}

// Write answers the request with the problem, without the body if the method is HEAD.
// The answer may not be stored: caches would keep a 404 otherwise.
//
// Write bounds the time that the server waits for a body that the handler has not read.
func (p *Problem) Write(w http.ResponseWriter, r *http.Request) error {
	ending.Leave(w, r)
	body := p.JSON()
	h := w.Header()
	h.Set("Content-Type", ContentType)
	if h["Content-Encoding"] == nil { // or else something outside compresses the body
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((p.RetryAfter+time.Second-1)/time.Second), 10))
	}
	if p.Challenge != "" {
		h.Set("WWW-Authenticate", p.Challenge)
	}
	w.WriteHeader(p.Status)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(body)
	return err
}
