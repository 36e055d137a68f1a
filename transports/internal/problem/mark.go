package problem

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/binderyhq/bindery/core"
)

// notReachedRetry is when a client should ask for a mark again. It is short, because
// the client has waited already.
const notReachedRetry = time.Second

// OfMark returns the problem for an error of [core.Grant.Reach], which waits for a mark
// in the binding of that name. For errors that are not about marks it does the same as
// [Of].
func OfMark(binding string, err error) (*Problem, bool) {
	switch {
	case errors.Is(err, core.ErrMalformedMark):
		return MalformedMark(), true
	case errors.Is(err, core.ErrForeignMark):
		return ForeignMark(), true
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, core.ErrTooManyWait):
		return NotReached(), true
	default:
		return Of(binding, err)
	}
}

// MalformedMark says that a text is not a mark.
func MalformedMark() *Problem {
	return &Problem{
		Type: TypeMalformedMark, Title: "Malformed mark", Status: http.StatusBadRequest,
		Detail: "the text is no mark that an answer has borne",
	}
}

// ForeignMark says that another node or process made the mark, so it means nothing
// here.
func ForeignMark() *Problem {
	return &Problem{
		Type: TypeForeignMark, Title: "Foreign mark", Status: http.StatusBadRequest,
		Detail: "the mark was made by another node, or before a restart, and cannot be understood here",
	}
}

// NotReached says that the binding does not show everything yet that a mark covers.
func NotReached() *Problem {
	return &Problem{
		Type: TypeNotReached, Title: "Not reached", Status: http.StatusServiceUnavailable,
		Detail: "the binding has not reached the mark yet", RetryAfter: notReachedRetry,
	}
}

// NotJoined says that a client asks about a binding that it has not joined.
func NotJoined() *Problem {
	return &Problem{
		Type: TypeNotJoined, Title: "Not joined", Status: http.StatusConflict,
		Detail: "the connection has not joined this",
	}
}
