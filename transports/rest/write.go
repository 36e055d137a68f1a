package rest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// The media types that rows are written in.
const (
	typeJSON       = "application/json"
	typeMergePatch = "application/merge-patch+json"
)

// insert answers POST to a list.
func (t *Transport) insert(x exchange) (*problem.Problem, error) {
	w := live.Write{Op: live.Insert}
	return t.write(x, w, typeJSON)
}

// change answers PUT, PATCH and DELETE of a row.
func (t *Transport) change(x exchange) (*problem.Problem, error) {
	var w live.Write
	var accepted []string
	switch x.r.Method {
	case http.MethodPut:
		w.Op, accepted = live.Replace, []string{typeJSON}
	case http.MethodPatch:
		w.Op, accepted = live.Merge, []string{typeMergePatch, typeJSON}
	default:
		w.Op = live.Delete
	}
	if x.view.WriteRules().RequireMatch && x.r.Header["If-Match"] == nil {
		return problem.PreconditionMissing("the request must say in If-Match which version of the row it is for"), nil
	}
	key, ok := keyOf(x.r, x.view.Schema(), x.key)
	if !ok {
		return noRow(), nil
	}
	w.Key = x.grant.Resolve(x.r.Context(), key)
	return t.write(x, w, accepted...)
}

// write carries out a write whose body, if it has one, is of one of the
// accepted types, and answers with the row.
func (t *Transport) write(x exchange, w live.Write, accepted ...string) (*problem.Problem, error) {
	if p := noParameters(x.params); p != nil {
		return p, nil
	}
	if t.stopping.Err() != nil || !t.writes.begin() {
		return problem.ShuttingDown(), nil
	}
	defer t.writes.end()
	if w.Op != live.Delete {
		var p *problem.Problem
		if w.Body, p = x.sent.read(func() ([]byte, *problem.Problem) { return t.readBody(x, accepted) }); p != nil {
			return p, nil
		}
		w.Validate = x.validate
	}
	s, err := x.grant.Snapshot()
	if err != nil {
		return nil, errScopeChanged
	}
	if s == nil {
		return problem.NotLoaded(x.view.Name()), nil
	}
	if w.Op == live.Insert {
		if !t.admitsInsert(x, s) {
			return preconditionFailed(), nil
		}
	} else {
		w.Match = t.matcher(x.r.Header, s, w.Key)
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), t.cfg.WriteTimeout)
	defer cancel()
	defer context.AfterFunc(t.writesCut, cancel)()
	row, err := x.grant.Write(ctx, w)
	if errors.Is(err, live.ErrScopeChanged) {
		return nil, errScopeChanged
	}
	if err != nil {
		return t.refusal(x, err), nil
	}
	return nil, t.answerWrite(x, w, row)
}

// answerWrite answers a write that was carried out with the row as it has
// become. The answer is a representation of the row, with the tag that a GET of
// it would have, and says so (RFC 9110, section 8.7); it is not to be stored.
func (t *Transport) answerWrite(x exchange, w live.Write, row live.Row) error {
	h := x.w.Header()
	h["Cache-Control"] = noStore
	t.setMark(x)
	if w.Op == live.Delete {
		x.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	status := http.StatusOK
	if row == (live.Row{}) {
		// A row that may leave the binding has left the table's own view of
		// itself, as one does that is soft-deleted; or the client's rights were
		// looked at anew meanwhile: there is nothing to show.
		if status = http.StatusNoContent; w.Op == live.Insert {
			status = http.StatusCreated
		}
		x.w.WriteHeader(status)
		return nil
	}
	path, member := x.base+x.r.URL.EscapedPath(), ""
	if params := x.view.Params(); params != nil {
		member = "?" + params.String()
	}
	if w.Op == live.Insert {
		status = http.StatusCreated
		path += "/" + row.Key().String()
		h["Location"] = []string{path + member}
	}
	h["Content-Location"] = []string{path + member}
	c := rowContent(row)
	in := identity
	if t.compressible(x, c) {
		in = parseAccept(x.r.Header["Accept-Encoding"]).best()
	}
	h["Etag"] = x.etag(c, in)
	addShared(h, "Vary", varyEncoding)
	if links := t.monitorLinks(x.base, x.view); links != "" {
		addShared(h, "Link", []string{links})
	}
	return writeBody(x, status, c.body(in), in)
}

// refusal is what the client is told of a write that was not carried out. What is
// not for the client goes to the log.
func (t *Transport) refusal(x exchange, err error) *problem.Problem {
	var invalid *driver.InvalidError
	var malformed *live.MalformedError
	switch {
	case errors.As(err, &invalid):
		return unacceptable(invalid)
	case errors.As(err, &malformed):
		if encoded(x.r.Header) {
			return problem.UnsupportedMediaType("bodies without a Content-Encoding")
		}
		return problem.MalformedBody(malformed.Detail)
	case errors.Is(err, live.ErrNoRow):
		return noRow()
	case errors.Is(err, live.ErrPrecondition):
		return preconditionFailed()
	case errors.Is(err, driver.ErrRefused):
		return problem.Forbidden("the database does not let this row be written")
	case errors.Is(err, live.ErrNotWritable):
		return problem.MethodNotAllowed(x.r.Method)
	case t.writesCut.Err() != nil, errors.Is(x.r.Context().Err(), context.Canceled) && t.stopping.Err() != nil:
		return problem.ShuttingDown() // the body may have been cut as its last byte came
	case errors.Is(x.r.Context().Err(), context.Canceled):
		// Nobody hears it, as a rule. A client that has closed its own half of the
		// connection does, and must not take silence for success.
		return problem.Unavailable("the connection was closed before the write was carried out")
	}
	if p, told := problem.Of(x.view.Name(), err); told {
		return p
	}
	t.reg.Logger().Error("rest: a write failed", slog.String("id", "rest-write-failed"), "binding", x.view.Name(), "method", x.r.Method, "err", err)
	return problem.Unavailable("the write could not be carried out now")
}

// unacceptable words what is wrong with a row: what concerns it as a whole is
// the detail.
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
		whole = []string{"fields that are not acceptable: " + strconv.Itoa(len(fields))}
	}
	return problem.Invalid(strings.Join(whole, "; "), fields...)
}

func noRow() *problem.Problem { return problem.NotFound("there is no row of this key") }

func preconditionFailed() *problem.Problem {
	return problem.PreconditionFailed("the content is not the one that the request names")
}
