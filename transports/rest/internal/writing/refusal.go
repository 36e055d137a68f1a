package writing

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/rest/internal/exchange"
)

// refusal returns what the client is told of a write that was not carried out. An error
// that is not for clients goes to the log.
func (w *Writer) refusal(x *exchange.Exchange, err error) *problem.Problem {
	var invalid *driver.InvalidError
	var malformed *live.MalformedError
	var unreadable *live.UnreadableError
	switch {
	case errors.As(err, &invalid):
		return unacceptable(invalid)
	case errors.As(err, &malformed):
		if encoded(x.R.Header) {
			return problem.UnsupportedMediaType("bodies without a Content-Encoding")
		}
		return problem.MalformedBody(malformed.Detail)
	case errors.As(err, &unreadable):
		w.logFailure(x, err)
		return notMended(unreadable)
	case errors.Is(err, live.ErrNoRow):
		return problem.NoRow()
	case errors.Is(err, live.ErrPrecondition):
		return problem.PreconditionFailed()
	case errors.Is(err, driver.ErrRefused):
		return problem.Forbidden("the database does not let this row be written")
	case errors.Is(err, live.ErrNotWritable):
		return problem.MethodNotAllowed(x.R.Method)
	case w.Cut.Err() != nil, errors.Is(x.R.Context().Err(), context.Canceled) && w.Stopping.Err() != nil:
		return problem.ShuttingDown() // the shutdown may have cut the body at its last byte
	case errors.Is(x.R.Context().Err(), context.Canceled):
		// As a rule nobody hears this. But a client that has closed its own half of the
		// connection does, and must not take silence for success.
		return problem.Unavailable("the connection was closed before the write was carried out")
	}
	if p, told := problem.Of(x.View.Name(), err); told {
		return p
	}
	w.logFailure(x, err)
	return problem.Unavailable("the write could not be carried out now")
}

func (w *Writer) logFailure(x *exchange.Exchange, err error) {
	w.Registry.Logger().Error("rest: a write failed", slog.String("id", "rest-write-failed"), "binding", x.View.Name(), "method", x.R.Method, "err", err)
}

// notMended tells why a row was not written that cannot be read or shown, and what would mend
// it. The database's message goes to the log alone.
func notMended(bad *live.UnreadableError) *problem.Problem {
	detail := "the row " + bad.Key.String() + ", as it is in the database or would be written, cannot be shown"
	var fields []problem.FieldError
	for _, f := range bad.Fields {
		if f.Field == "" {
			detail += "; " + f.Detail
			continue
		}
		fields = append(fields, problem.FieldError{Field: f.Field, Detail: f.Detail + ": a write that gives this field another mends the row"})
	}
	return problem.Unreadable(detail, fields...)
}

// unacceptable tells what is wrong with a row. What concerns the row as a whole
// becomes the detail.
func unacceptable(invalid *driver.InvalidError) *problem.Problem {
	var whole []string
	var fields []problem.FieldError
	for _, f := range invalid.Fields {
		if f.Field == "" {
			whole = append(whole, f.Detail)
			continue
		}
		fields = append(fields, problem.FieldError{Field: f.Field, Detail: f.Detail})
	}
	if whole == nil {
		whole = named(fields)
	}
	return problem.Invalid(strings.Join(whole, "; "), fields...)
}

const (
	maxNamed = 3  // fields in the detail; "errors" has them all
	maxName  = 60 // characters of a field's name there, which a client may have made up
)

// named returns what is wrong with the first fields, for clients that show the detail
// alone.
func named(fields []problem.FieldError) (details []string) {
	for i, f := range fields {
		if i == maxNamed {
			return append(details, "and "+strconv.Itoa(len(fields)-i)+" more")
		}
		name := f.Field
		if runes := []rune(name); len(runes) > maxName {
			name = string(runes[:maxName]) + "…"
		}
		details = append(details, strconv.Quote(name)+" "+f.Detail)
	}
	return details
}
