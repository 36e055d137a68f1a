package rest

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"slices"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

// conditional is [Conditions] made ready for requests.
type conditional struct {
	views        []*live.View
	open         func(*http.Request) ([]*core.Grant, error) // nil: every answer depends on views alone
	refuse       func(http.ResponseWriter, *http.Request, error)
	key          func(*http.Request) string
	program      string
	cacheControl [2][]string // where the key is "", and where it is not
	vary         []string    // nil for none
	start        time.Time   // no date is earlier: the program may have changed with the process
	now          func() time.Time
}

func newConditional(c Conditions) *conditional {
	if len(c.Views) == 0 && c.Open == nil {
		panic("rest: conditions for a handler that reads no binding")
	}
	if slices.Contains(c.Views, nil) {
		panic("rest: conditions for a handler that reads a nil binding")
	}
	k := &conditional{views: slices.Clone(c.Views), open: c.Open, refuse: c.Refuse, key: c.Key, program: c.Program, now: c.Now}
	if k.refuse == nil {
		k.refuse = refuseOpen
	}
	k.cacheControl = [2][]string{{DefaultCacheControl}, {"private, " + DefaultCacheControl}}
	if c.CacheControl != "" {
		k.cacheControl = [2][]string{{c.CacheControl}, {c.CacheControl}}
	}
	if k.key == nil {
		k.key = headerKey
		if c.EchoKey == nil {
			k.vary = keyHeaders[:]
		}
	}
	if k.program == "" {
		k.program = executable()
	}
	if k.now == nil {
		k.now = time.Now
	}
	k.start = k.now().UTC().Truncate(time.Second).Add(time.Second)
	return k
}

// page is the answer to one request.
type page struct {
	k       *conditional
	key     string
	grants  []*core.Grant   // opened for this request
	views   []*live.View    // all that it depends on
	ctx     context.Context // pins the views
	etag    [tagLength]byte
	current bool // all bindings have loaded and go on
	date    time.Time
}

// tagLength is the length of W/"…" around a hash.
const tagLength = 4 + live.TokenLength

// look computes the page's tag and date from the versions that the context pins,
// or else from the current ones.
func (p *page) look(ctx context.Context) {
	var buf [256]byte
	b := append(buf[:0], p.k.program...)
	b = binary.AppendUvarint(b, uint64(len(p.key)))
	b = append(b, p.key...)
	now := p.k.now()
	p.date = time.Time{}
	date, dated := p.k.start, !p.personal() && !now.Before(p.k.start)
	for i, v := range p.views {
		s := v.SnapshotIn(ctx)
		if s == nil || ended(v) {
			p.current = false
			return
		}
		if i >= len(p.k.views) { // which one it is depends on the request
			b = binary.AppendUvarint(b, uint64(len(v.ID())))
			b = append(b, v.ID()...)
		}
		b = append(b, s.Version().Token...) // all are of one length
		if d, ok := s.HTTPDate(now); !ok {
			dated = false
		} else if d.After(date) {
			date = d
		}
	}
	if dated {
		p.date = date
	}
	p.current = true
	sum := xxh3.Hash128(b).Bytes()
	copy(p.etag[:], `W/"`)
	base64.RawURLEncoding.Encode(p.etag[3:], sum[:])
	p.etag[tagLength-1] = '"'
}

func ended(v *live.View) bool {
	select {
	case <-v.Done():
		return true
	default:
		return false
	}
}

// personal reports whether the answer depends on who asks.
func (p *page) personal() bool { return p.key != "" || p.k.open != nil }

// begin answers the request with 304 if it can. The page is to be closed.
func (k *conditional) begin(w http.ResponseWriter, r *http.Request, key string) (p *page, done bool) {
	p = &page{k: k, key: key, views: k.views}
	if k.open != nil {
		if err := p.openAll(r); err != nil {
			k.refuse(w, r, err)
			return p, true
		}
	} else {
		p.look(r.Context())
	}
	if !p.current || !p.known(r.Header) {
		if k.open == nil {
			p.pin(r.Context())
		}
		return p, false
	}
	p.describe(w.Header())
	w.WriteHeader(http.StatusNotModified)
	return p, true
}

// known reports whether the client has the page. A "*" is left to the handler:
// only it knows whether there is a page at all.
func (p *page) known(h http.Header) bool {
	if lines := h["If-None-Match"]; lines != nil {
		opaque := p.etag[3 : tagLength-1]
		for _, line := range lines {
			for s := (tagScanner{line}); ; {
				tag, ok := s.next()
				if !ok {
					break
				}
				if tag.opaque == string(opaque) {
					return true
				}
			}
		}
		return false
	}
	since, ok := httpDate(h["If-Modified-Since"])
	return ok && !p.date.IsZero() && !p.date.After(since) && !since.After(p.k.now())
}

// pin makes the context for the handler, and makes the page that of the versions
// that it pins: there may be newer ones than those looked at first.
func (p *page) pin(ctx context.Context) {
	ctx = core.WithSnapshots(ctx, p.views...)
	p.look(ctx)
	if p.grants != nil {
		ctx = context.WithValue(ctx, grantsKey{}, p.grants)
	}
	p.ctx = ctx
}

// finish completes the headers of the handler's answer.
func (p *page) finish(h http.Header, status int) {
	switch {
	case !p.current:
		if h["Cache-Control"] == nil {
			h["Cache-Control"] = noStore
		}
	case status == http.StatusOK:
		p.describe(h)
	}
}

// describe sets the headers that 200 and 304 share, but for those that are set
// already.
func (p *page) describe(h http.Header) {
	personal := 0
	if p.personal() {
		personal = 1
	}
	if h["Cache-Control"] == nil {
		h["Cache-Control"] = p.k.cacheControl[personal]
	}
	if p.k.vary != nil {
		addShared(h, "Vary", p.k.vary)
	}
	if h["Etag"] != nil {
		return // the handler's own, and so is the date
	}
	h["Etag"] = []string{string(p.etag[:])}
	if h["Last-Modified"] == nil && !p.date.IsZero() {
		h["Last-Modified"] = []string{p.date.Format(http.TimeFormat)}
	}
}

// conditionalWriter completes the headers just before they go out.
type conditionalWriter struct {
	http.ResponseWriter
	page *page
	sent bool
}

func (w *conditionalWriter) before(status int) {
	if !w.sent {
		w.sent = true
		w.page.finish(w.Header(), status)
	}
}

// WriteHeader implements [http.ResponseWriter].
func (w *conditionalWriter) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.before(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *conditionalWriter) Write(b []byte) (int, error) {
	w.before(http.StatusOK)
	return w.ResponseWriter.Write(b)
}

// FlushError is for [http.ResponseController], which sends the headers with it.
func (w *conditionalWriter) FlushError() error {
	w.before(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush implements [http.Flusher], which many handlers ask for.
func (w *conditionalWriter) Flush() {
	_ = w.FlushError() // a writer that cannot flush sends in its own time
}

// Unwrap is for [http.ResponseController].
func (w *conditionalWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
