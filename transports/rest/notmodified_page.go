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
	key          func(*http.Request) string
	program      string
	cacheControl [2][]string // where the key is "", and where it is not
	vary         []string    // nil for none
	start        time.Time   // no date is earlier: the program may have changed with the process
	now          func() time.Time
}

func newConditional(c Conditions) *conditional {
	if len(c.Views) == 0 {
		panic("rest: conditions for a handler that reads no binding")
	}
	if slices.Contains(c.Views, nil) {
		panic("rest: conditions for a handler that reads a nil binding")
	}
	k := &conditional{views: slices.Clone(c.Views), key: c.Key, program: c.Program, now: c.Now}
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
	date, dated := p.k.start, p.key == "" && !now.Before(p.k.start)
	for _, v := range p.k.views {
		s := v.SnapshotIn(ctx)
		if s == nil || ended(v) {
			p.current = false
			return
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

// begin answers the request with 304 if it can.
func (k *conditional) begin(w http.ResponseWriter, r *http.Request, key string) (p *page, done bool) {
	p = &page{k: k, key: key}
	p.look(r.Context())
	if !p.current || !p.known(r.Header) {
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

// pin returns the context for the handler, and makes the page that of the
// versions that it pins: there may be newer ones than those looked at first.
func (p *page) pin(ctx context.Context) context.Context {
	ctx = core.Pin(ctx, p.k.views...)
	p.look(ctx)
	return ctx
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
	if p.key != "" {
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
