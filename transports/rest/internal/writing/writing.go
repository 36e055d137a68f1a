package writing

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/rest/internal/access"
	"github.com/binderyhq/bindery/transports/rest/internal/content"
	"github.com/binderyhq/bindery/transports/rest/internal/exchange"
	"github.com/binderyhq/bindery/transports/rest/internal/hold"
	"github.com/binderyhq/bindery/transports/rest/internal/request"
)

// The media types of the bodies of writes.
const (
	TypeJSON       = "application/json"
	TypeMergePatch = "application/merge-patch+json"
)

// Writer answers requests that write. Its methods return a problem to answer with, or
// the error of writing the answer, or [access.ErrScopeChanged].
type Writer struct {
	*access.Opener
	UnderWay *hold.Count
	Editions *content.Editions

	MaxBody     int64         // of a body, in bytes
	BodyTimeout time.Duration // named in the answer to a body that comes too slowly
	Timeout     time.Duration // of a write, after its body was read

	// Cut is done when the shutdown gives up the writes under way.
	Cut context.Context

	// SlowBodies counts the bodies that did not come within BodyTimeout.
	SlowBodies *atomic.Uint64
}

// Insert answers POST to a list.
func (w *Writer) Insert(x *exchange.Exchange) (*problem.Problem, error) {
	return w.write(x, live.Write{Op: live.Insert}, TypeJSON)
}

// Change answers PUT, PATCH and DELETE of a row.
func (w *Writer) Change(x *exchange.Exchange) (*problem.Problem, error) {
	var write live.Write
	var accepted []string
	switch x.R.Method {
	case http.MethodPut:
		write.Op, accepted = live.Replace, []string{TypeJSON}
	case http.MethodPatch:
		write.Op, accepted = live.Merge, []string{TypeMergePatch, TypeJSON}
	default:
		write.Op = live.Delete
	}
	if x.View.WriteRules().RequireMatch && x.R.Header["If-Match"] == nil {
		return problem.PreconditionMissing("the request must say in If-Match which version of the row it is for"), nil
	}
	key, ok := request.Key(x.R, x.View.Schema(), x.Key)
	if !ok {
		return problem.NoRow(), nil
	}
	write.Key = x.Grant.Resolve(x.R.Context(), key)
	return w.write(x, write, accepted...)
}

// write carries out a write, whose body, if it has one, must have one of the accepted
// types, and answers with the row.
func (w *Writer) write(x *exchange.Exchange, write live.Write, accepted ...string) (*problem.Problem, error) {
	if p := request.NoParameters(x.Params); p != nil {
		return p, nil
	}
	if w.Stopping.Err() != nil || !w.UnderWay.Begin() {
		return problem.ShuttingDown(), nil
	}
	defer w.UnderWay.End()
	if write.Op != live.Delete {
		var p *problem.Problem
		if write.Body, p = x.Sent.Read(func() ([]byte, *problem.Problem) { return w.readBody(x, accepted) }); p != nil {
			return p, nil
		}
		write.Validate = func(row any) error { return validate(x.App, row) }
	}
	s, err := x.Grant.Snapshot()
	if err != nil {
		return nil, access.ErrScopeChanged
	}
	if s == nil {
		return problem.NotLoaded(x.View.Name()), nil
	}
	if write.Op == live.Insert {
		if !w.admitsInsert(x, s) {
			return problem.PreconditionFailed(), nil
		}
	} else {
		write.Match = w.matcher(x.R.Header, s, write.Key)
	}
	ctx, cancel := context.WithTimeout(x.R.Context(), w.Timeout)
	defer cancel()
	defer context.AfterFunc(w.Cut, cancel)()
	row, err := x.Grant.Write(ctx, write)
	if errors.Is(err, live.ErrScopeChanged) {
		return nil, access.ErrScopeChanged
	}
	if err != nil {
		return w.refusal(x, err), nil
	}
	return nil, w.answer(x, write, row)
}

// answer answers a write that was carried out. The answer is a representation of the
// row as the database has it, with the tag that a GET of the row would have, and says
// so (RFC 9110, section 8.7). Caches may not store it.
func (w *Writer) answer(x *exchange.Exchange, write live.Write, row live.Row) error {
	h := x.W.Header()
	h["Cache-Control"] = exchange.NoStore
	// Without a mark the client has gone, and nobody needs one.
	if mark, err := w.Registry.Mark(x.R.Context()); err == nil {
		h[request.HeaderMark] = []string{mark}
	}
	status := http.StatusOK
	if write.Op == live.Insert {
		status = http.StatusCreated
	}
	if row == (live.Row{}) {
		// There is no row to show: the write deleted it, or the row was soft-deleted
		// and so has left the table's own filter, or the client's rights have changed
		// meanwhile.
		if write.Op != live.Insert {
			status = http.StatusNoContent
		}
		x.W.WriteHeader(status)
		return nil
	}
	path, member := x.Prefix+x.R.URL.EscapedPath(), ""
	if params := x.View.Params(); params != nil {
		member = "?" + params.String()
	}
	if write.Op == live.Insert {
		path += "/" + row.Key().String()
		h["Location"] = []string{path + member}
	}
	h["Content-Location"] = []string{path + member}
	c := content.Row(row)
	in := x.Coding(c)
	x.SetETag(c, in)
	exchange.AddHeader(h, "Vary", exchange.VaryEncoding)
	if links := w.Editions.MonitorLinks(x.Prefix, x.View); links != "" {
		exchange.AddHeader(h, "Link", []string{links})
	}
	return x.Write(status, c, in)
}
