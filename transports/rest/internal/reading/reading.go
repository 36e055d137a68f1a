package reading

import (
	"net/http"
	"strconv"
	"time"

	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/rest/internal/access"
	"github.com/binderyhq/bindery/transports/rest/internal/content"
	"github.com/binderyhq/bindery/transports/rest/internal/exchange"
	"github.com/binderyhq/bindery/transports/rest/internal/hold"
	"github.com/binderyhq/bindery/transports/rest/internal/paging"
	"github.com/binderyhq/bindery/transports/rest/internal/precondition"
	"github.com/binderyhq/bindery/transports/rest/internal/request"
)

// Reader answers requests that read. Its methods return a problem to answer with, or
// the error of writing the answer, or [access.ErrScopeChanged].
type Reader struct {
	*access.Opener
	Held     *hold.Requests
	Editions *content.Editions
	Limits   request.Limits
	Caching  Caching

	// MarkWait is how long a request is held for its mark if it names no time.
	MarkWait time.Duration

	messages *wire.Encoder // of changes
}

// New returns a reader with these settings.
func New(r Reader) *Reader {
	r.messages = wire.NewEncoder(wire.Limits{})
	return &r
}

// List answers a request for a list, a page or changes.
func (r *Reader) List(x *exchange.Exchange) (*problem.Problem, error) {
	q, p := request.ParseList(x.Params, r.Limits)
	if p != nil {
		return p, nil
	}
	if q.Changes {
		return r.changes(x, q)
	}
	if q.Cursor && !paging.HasCursors(x.View) {
		return problem.BadParameter(request.ParamAfter, "is not for this binding: clients cannot compare where its rows stand; use offset"), nil
	}
	return r.read(x, func(s *live.Snapshot, now time.Time) (selection, *problem.Problem) {
		e := r.Editions.Of(x.View, s)
		sel := selection{content: e.List, links: e.Links(x.Prefix)}
		if dated(x) {
			sel.dateText, sel.date = e.LastModified(now)
		}
		if q.Paged {
			sel.page(x, q, e, s)
		}
		return sel, nil
	})
}

// Row answers a request for one row.
func (r *Reader) Row(x *exchange.Exchange) (*problem.Problem, error) {
	// A text that cannot be a key of this table is not the key of any row.
	key, known := request.Key(x.R, x.View.Schema(), x.Key)
	if known {
		key = x.Grant.Resolve(x.R.Context(), key)
	}
	return r.read(x, func(s *live.Snapshot, now time.Time) (selection, *problem.Problem) {
		ok := known
		var row live.Row
		if ok {
			row, ok = s.Get(key)
		}
		if !ok {
			return selection{}, problem.NoRow()
		}
		sel := selection{content: content.Row(row), links: r.Editions.Of(x.View, s).Links(x.Prefix)}
		if date, ok := row.HTTPDate(now); ok && dated(x) {
			sel.date, sel.dateText = date, []string{date.Format(http.TimeFormat)}
		}
		return sel, nil
	})
}

// selection is a content to answer with, and the headers that go with it, in a 304
// too.
type selection struct {
	content  *content.Content
	date     time.Time // of Last-Modified, zero if it is not shown
	dateText []string
	links    []string // nil for none
	total    string   // of X-Total-Count, "" for none
}

// page makes the selection that of a page of the list.
func (sel *selection) page(x *exchange.Exchange, q request.List, e *content.Edition, s *live.Snapshot) {
	w, path, params := q.Window, x.Prefix+x.R.URL.EscapedPath(), x.View.Params().String()
	var links string
	if q.Cursor {
		w.Offset = paging.OffsetAfter(s, q.After)
		links = paging.CursorLinks(path, params, s, w)
	} else {
		links = paging.OffsetLinks(path, params, w, s.Len())
	}
	sel.content = e.Page(w)
	sel.total = strconv.Itoa(s.Len())
	if sel.links != nil {
		links += ", " + sel.links[0]
	}
	sel.links = []string{links}
}

// dated reports whether answers show dates. They show none where an authorizer decides
// what the client sees: with other rights the same URL has another answer, which may
// be older. Tags tell the two apart, and dates do not.
func dated(x *exchange.Exchange) bool { return !x.Grant.Personal() }

// choose selects from a snapshot what a request reads.
type choose func(*live.Snapshot, time.Time) (selection, *problem.Problem)

// read answers with a selection from the current snapshot, or from a later one if the
// client has that one and waits.
func (r *Reader) read(x *exchange.Exchange, from choose) (*problem.Problem, error) {
	wait, p := r.reach(x)
	if p != nil {
		return p, nil
	}
	s, err := x.Grant.Snapshot()
	if err != nil {
		return nil, access.ErrScopeChanged
	}
	if s == nil {
		return problem.NotLoaded(x.View.Name()), nil
	}
	sel, v, p := r.judge(x, s, from)
	if p != nil {
		return p, nil
	}
	if v.Held && wait > 0 {
		if sel, v, p, err = r.wait(x, wait, s, from); p != nil || err != nil {
			return p, err
		}
	}
	return r.answer(x, sel, v)
}

// judge evaluates the preconditions of the request for its selection from the
// snapshot.
func (r *Reader) judge(x *exchange.Exchange, s *live.Snapshot, from choose) (selection, precondition.Verdict, *problem.Problem) {
	now := r.Registry.Now()
	sel, p := from(s, now)
	if p != nil {
		return sel, precondition.Verdict{}, p
	}
	return sel, precondition.Judge(x.R.Header, sel.content, sel.date, now, x.Compressible(sel.content)), nil
}

// answer writes the headers that 200 and 304 share, and the body of a 200.
func (r *Reader) answer(x *exchange.Exchange, sel selection, v precondition.Verdict) (*problem.Problem, error) {
	if v.Outcome == precondition.Failed {
		return problem.PreconditionFailed(), nil
	}
	h := x.W.Header()
	x.SetETag(sel.content, v.Coding)
	h["Cache-Control"] = r.Caching.Of(x.Grant)
	exchange.AddHeader(h, "Vary", r.Caching.Vary)
	if sel.dateText != nil {
		h["Last-Modified"] = sel.dateText
	}
	if sel.links != nil {
		exchange.AddHeader(h, "Link", sel.links)
	}
	if sel.total != "" {
		h["X-Total-Count"] = []string{sel.total}
	}
	if v.Outcome == precondition.NotModified {
		x.W.WriteHeader(http.StatusNotModified)
		return nil, nil
	}
	return nil, x.Write(http.StatusOK, sel.content, v.Coding)
}
