package problem

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// notLoadedRetry is when a client should ask again for a binding that has not
// loaded: most load within a second.
const notLoadedRetry = time.Second

// unavailableRetry is when a client should try again after anything else that
// is expected to pass.
const unavailableRetry = 5 * time.Second

// BadParameter says that a parameter is unknown, missing, repeated or has a
// bad value. The name is repeated in Errors, for programs.
func BadParameter(name, detail string) *Problem {
	return &Problem{
		Type: TypeBadParameter, Title: "Bad parameter", Status: http.StatusBadRequest,
		Detail: "parameter " + strconv.Quote(name) + ": " + detail,
		Errors: []FieldError{{Field: name, Detail: detail}},
	}
}

// MalformedQuery says that the query of a URL cannot be parsed at all.
func MalformedQuery(detail string) *Problem {
	return &Problem{Type: TypeBadParameter, Title: "Bad parameter", Status: http.StatusBadRequest, Detail: detail}
}

// MalformedBody says that a request's body cannot be parsed.
func MalformedBody(detail string) *Problem {
	return &Problem{Type: TypeMalformedBody, Title: "Malformed body", Status: http.StatusBadRequest, Detail: detail}
}

// SlowBody says that a request's body has not come within the time.
func SlowBody(within time.Duration) *Problem {
	return &Problem{
		Type: TypeSlowBody, Title: "Slow body", Status: http.StatusRequestTimeout,
		Detail: "the body has not come to its end within " + within.String(),
	}
}

// MalformedMessage says that a client's message cannot be parsed or has a
// field of the wrong type.
func MalformedMessage(detail string) *Problem {
	return &Problem{Type: TypeMalformedMessage, Title: "Malformed message", Status: http.StatusBadRequest, Detail: detail}
}

// Unauthorized says that the client must authenticate first, and how: the
// challenge is the value of WWW-Authenticate (RFC 9110, section 11.6.1).
func Unauthorized(challenge string) *Problem {
	return &Problem{Type: TypeUnauthorized, Title: "Unauthorized", Status: http.StatusUnauthorized, Challenge: challenge}
}

// Forbidden says that the client may not do what it asked for.
func Forbidden(detail string) *Problem {
	return &Problem{Type: TypeForbidden, Title: "Forbidden", Status: http.StatusForbidden, Detail: detail}
}

// OriginRefused says that pages of the request's origin may not connect.
func OriginRefused() *Problem {
	return &Problem{
		Type: TypeOriginRefused, Title: "Origin refused", Status: http.StatusForbidden,
		Detail: "pages of this origin may not connect",
	}
}

// BadHandshake says that a request cannot become a WebSocket connection. The
// status says in what way.
func BadHandshake(status int, detail string) *Problem {
	return &Problem{Type: TypeBadHandshake, Title: "Bad handshake", Status: status, Detail: detail}
}

// UnknownBinding says that no binding has that name.
func UnknownBinding(name string) *Problem {
	return &Problem{
		Type: TypeUnknownBinding, Title: "Unknown binding", Status: http.StatusNotFound,
		Detail: "there is no binding " + strconv.Quote(name),
	}
}

// NotFound says that a path leads to nothing, or that no row has the key.
func NotFound(detail string) *Problem {
	return &Problem{Type: TypeNotFound, Title: "Not found", Status: http.StatusNotFound, Detail: detail}
}

// NoRow says that no row of the binding has the key that the path names.
func NoRow() *Problem { return NotFound("there is no row with this key") }

// MethodNotAllowed says that the resource does not support the method. The
// answer must bear the header Allow.
func MethodNotAllowed(method string) *Problem {
	return &Problem{
		Type: TypeMethodNotAllowed, Title: "Method not allowed", Status: http.StatusMethodNotAllowed,
		Detail: "the resource does not support " + method,
	}
}

// PreconditionFailed says that the content has changed since the version that the
// request's precondition names.
func PreconditionFailed() *Problem {
	return &Problem{
		Type: TypePreconditionFailed, Title: "Precondition failed", Status: http.StatusPreconditionFailed,
		Detail: "the content is not the one that the request names",
	}
}

// Unreadable says that the row with the key in the path holds values that cannot be read or
// shown, and in which fields, as far as clients see them.
func Unreadable(detail string, errs ...FieldError) *Problem {
	return &Problem{Type: TypeUnreadable, Title: "Unreadable row", Status: http.StatusConflict, Detail: detail, Errors: errs}
}

// TooLarge says that a body or a message is longer than limit bytes.
func TooLarge(limit int64) *Problem {
	return &Problem{
		Type: TypeTooLarge, Title: "Too large", Status: http.StatusRequestEntityTooLarge,
		Detail: "the limit is " + strconv.FormatInt(limit, 10) + " bytes",
	}
}

// UnsupportedMediaType says which media types are accepted.
func UnsupportedMediaType(accepted string) *Problem {
	return &Problem{
		Type: TypeUnsupportedMedia, Title: "Unsupported media type", Status: http.StatusUnsupportedMediaType,
		Detail: "accepted: " + accepted,
	}
}

// Invalid says that a well-formed request has unacceptable fields.
func Invalid(detail string, errs ...FieldError) *Problem {
	return &Problem{Type: TypeInvalid, Title: "Invalid", Status: http.StatusUnprocessableEntity, Detail: detail, Errors: errs}
}

// PreconditionMissing says that the request must bear a precondition.
func PreconditionMissing(detail string) *Problem {
	return &Problem{Type: TypePreconditionMissing, Title: "Precondition missing", Status: http.StatusPreconditionRequired, Detail: detail}
}

// TooMany says that the client has reached a limit of its own: joins of one
// connection, for example.
func TooMany(detail string) *Problem {
	return &Problem{Type: TypeTooMany, Title: "Too many", Status: http.StatusTooManyRequests, Detail: detail}
}

// Internal says that the server failed, without details.
func Internal() *Problem {
	return &Problem{Type: TypeInternal, Title: "Internal error", Status: http.StatusInternalServerError}
}

// NotLoaded says that the rows of a binding have not been read yet.
func NotLoaded(name string) *Problem {
	return &Problem{
		Type: TypeNotLoaded, Title: "Not loaded yet", Status: http.StatusServiceUnavailable,
		Detail: "binding " + strconv.Quote(name) + " has not loaded yet", RetryAfter: notLoadedRetry,
	}
}

// ShuttingDown says that the server is about to end; another node, or the next
// process, can answer.
func ShuttingDown() *Problem {
	return &Problem{
		Type: TypeShuttingDown, Title: "Shutting down", Status: http.StatusServiceUnavailable,
		RetryAfter: unavailableRetry,
	}
}

// OverBudget says that the server has no memory left for another member of the binding,
// or that the client or its tenant has used up its share.
func OverBudget(binding string) *Problem {
	return &Problem{
		Type: TypeOverBudget, Title: "No memory is left for this", Status: http.StatusServiceUnavailable,
		Detail:     fmt.Sprintf("the server cannot hold another member of %q now", binding),
		RetryAfter: unavailableRetry,
	}
}

// Crowded says that the bodies that clients are sending leave no memory for this one.
func Crowded() *Problem {
	return &Problem{
		Type: TypeOverBudget, Title: "No memory is left for this", Status: http.StatusServiceUnavailable,
		Detail:     "too much is being sent to the server at the same time",
		RetryAfter: unavailableRetry,
	}
}

// Unavailable says that the server cannot do this now: the database is away, or
// a limit of the server as a whole is reached.
func Unavailable(detail string) *Problem {
	return &Problem{
		Type: TypeUnavailable, Title: "Unavailable", Status: http.StatusServiceUnavailable,
		Detail: detail, RetryAfter: unavailableRetry,
	}
}
