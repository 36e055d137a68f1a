package rest

import (
	"net/http"
	"strconv"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// Header values that all answers share. net/http only reads them.
var (
	varyEncoding = []string{"Accept-Encoding"}
	jsonType     = []string{"application/json"}
	codingHeader = [identity][]string{{"zstd"}, {"br"}, {"gzip"}}
)

// selection is what a request reads: a content, and the headers that go with
// it, in a 304 too.
type selection struct {
	content  *content
	date     time.Time // of Last-Modified, zero while it must not be shown
	dateText []string
	links    []string // nil for none
	total    string   // of X-Total-Count, "" for none
}

func (t *Transport) readList(x exchange) (*problem.Problem, error) {
	q, p := t.parseQuery(x.params)
	if p != nil {
		return p, nil
	}
	if q.delta {
		return t.readChanges(x, q)
	}
	if q.keyset && !isKeyset(x.view) {
		return problem.BadParameter(paramAfter, "is not for this binding: clients cannot compare where its rows stand; use offset"), nil
	}
	return t.read(x, func(s *live.Snapshot, now time.Time) (selection, *problem.Problem) {
		e := t.edition(x.view, s)
		sel := selection{content: e.list, links: e.linksBehind(x.base)}
		if dated(x) {
			sel.dateText, sel.date = e.lastModified(now)
		}
		if q.paged {
			w, path, params := q.window, x.base+x.r.URL.EscapedPath(), x.view.Params().String()
			var links string
			if q.keyset {
				w.offset = positionAfter(s, q.after)
				links = keysetLinks(path, params, s, w)
			} else {
				links = pageLinks(path, params, w, s.Len())
			}
			sel.content = e.page(w)
			sel.total = strconv.Itoa(s.Len())
			if sel.links != nil {
				links += ", " + sel.links[0]
			}
			sel.links = []string{links}
		}
		return sel, nil
	})
}

func (t *Transport) readRow(x exchange) (*problem.Problem, error) {
	// A key that cannot be one of this table's is a key that no row has.
	key, known := keyOf(x.r, x.view.Schema(), x.key)
	if known {
		key = x.grant.Resolve(x.r.Context(), key)
	}
	return t.read(x, func(s *live.Snapshot, now time.Time) (selection, *problem.Problem) {
		ok := known
		var r live.Row
		if ok {
			r, ok = s.Get(key)
		}
		if !ok {
			return selection{}, noRow()
		}
		sel := selection{content: rowContent(r), links: t.edition(x.view, s).linksBehind(x.base)}
		if date, ok := r.HTTPDate(now); ok && dated(x) {
			sel.date, sel.dateText = date, []string{date.Format(http.TimeFormat)}
		}
		return sel, nil
	})
}

// dated reports whether answers have dates. Where an authorizer decides what the
// client sees, other rights make another answer under the same URL, which may be
// older. Tags distinguish the two, dates do not.
func dated(x exchange) bool { return !x.grant.Personal() }

// pick finds what a request reads in a snapshot.
type pick func(*live.Snapshot, time.Time) (selection, *problem.Problem)

// read answers GET and HEAD.
func (t *Transport) read(x exchange, from pick) (*problem.Problem, error) {
	wait, p := t.reach(x)
	if p != nil {
		return p, nil
	}
	s, err := x.grant.Snapshot()
	if err != nil {
		return nil, errScopeChanged
	}
	if s == nil {
		return problem.NotLoaded(x.view.Name()), nil
	}
	now := t.reg.Now()
	sel, p := from(s, now)
	if p != nil {
		return p, nil
	}
	v := judge(x.r.Header, sel.content, sel.date, now, t.compressible(x, sel.content))
	if v.held && wait > 0 {
		if sel, v, p, err = t.wait(x, wait, s, from); p != nil || err != nil {
			return p, err
		}
	}
	return t.answer(x, sel, v)
}

// answer writes the headers that 200 and 304 share, and for a 200 the body.
func (t *Transport) answer(x exchange, sel selection, v verdict) (*problem.Problem, error) {
	if v.outcome == failed {
		return preconditionFailed(), nil
	}
	h := x.w.Header()
	h["Etag"] = x.etag(sel.content, v.coding)
	h["Cache-Control"] = t.cacheControlOf(x.grant)
	addShared(h, "Vary", t.vary())
	if sel.dateText != nil {
		h["Last-Modified"] = sel.dateText
	}
	if sel.links != nil {
		addShared(h, "Link", sel.links)
	}
	if sel.total != "" {
		h["X-Total-Count"] = []string{sel.total}
	}
	if v.outcome == notModified {
		x.w.WriteHeader(http.StatusNotModified)
		return nil, nil
	}
	return nil, writeBody(x, http.StatusOK, sel.content.body(v.coding), v.coding)
}

// writeBody answers with the body, which is in the coding.
func writeBody(x exchange, status int, body []byte, in coding) error {
	h := x.w.Header()
	h["Content-Type"] = jsonType
	if !x.compressed { // or else nobody knows it yet
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	if in != identity {
		h["Content-Encoding"] = codingHeader[in]
	}
	x.w.WriteHeader(status)
	if x.r.Method == http.MethodHead {
		return nil
	}
	_, err := x.w.Write(body)
	return err
}

// compressible reports whether the content is long enough to be compressed, and
// may be.
func (t *Transport) compressible(x exchange, c *content) bool {
	return !x.plain && t.cfg.MinCompress >= 0 && c.size >= t.cfg.MinCompress
}

// isShared reports whether caches that several clients share may keep what the
// grant shows.
func (t *Transport) isShared(g *core.Grant) bool {
	return t.cfg.SharedMaxAge > 0 && !g.Personal()
}

func (t *Transport) cacheControlOf(g *core.Grant) []string {
	texts := t.cacheControl[0]
	if g.Personal() {
		texts = t.cacheControl[1]
	}
	if text, ok := texts[g.View().Name()]; ok {
		return text
	}
	return texts[""]
}

// addShared adds values that other answers use too to a header that middleware
// may have set already: then both are copied, and never appended to in place.
func addShared(h http.Header, name string, values []string) {
	if was := h[name]; len(was) > 0 {
		values = append(was[:len(was):len(was)], values...)
	}
	h[name] = values
}
