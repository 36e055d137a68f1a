package notmodified

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/rest/internal/exchange"
	"github.com/binderyhq/bindery/transports/rest/internal/precondition"
)

// page is the answer to one request. close gives its grants back.
type page struct {
	h       *handler
	key     string
	grants  []*core.Grant   // opened for this request
	views   []*live.View    // everything that it depends on
	ctx     context.Context // pins the views
	etag    [tagLength]byte
	current bool // all bindings have loaded, and none has ended
	date    time.Time
}

// tagLength is the length of W/"…" around a hash.
const tagLength = 4 + live.TokenLength

// look computes the page's tag and date from the versions that the context pins, and
// from the current versions of other bindings.
func (p *page) look(ctx context.Context) {
	var buf [256]byte
	b := append(buf[:0], p.h.program...)
	b = binary.AppendUvarint(b, uint64(len(p.key)))
	b = append(b, p.key...)
	now := p.h.now()
	p.date = time.Time{}
	date, dated := p.h.start, !p.personal() && !now.Before(p.h.start)
	for i, v := range p.views {
		s := v.SnapshotIn(ctx)
		if s == nil || ended(v) {
			p.current = false
			return
		}
		if i >= len(p.h.views) { // the request decides which binding this is
			b = binary.AppendUvarint(b, uint64(len(v.ID())))
			b = append(b, v.ID()...)
		}
		b = append(b, s.Version().Token...) // all tokens have one length
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
func (p *page) personal() bool { return p.key != "" || p.h.open != nil }

// begin answers the request with 304 if it can. The caller closes the page.
func (h *handler) begin(w http.ResponseWriter, r *http.Request, key string) (p *page, done bool) {
	p = &page{h: h, key: key, views: h.views}
	if h.open != nil {
		if err := p.openAll(r); err != nil {
			h.refuse(w, r, err)
			return p, true
		}
	} else {
		p.look(r.Context())
	}
	if !p.current || !p.known(r.Header) {
		if h.open == nil {
			p.pin(r.Context())
		}
		return p, false
	}
	p.describe(w.Header())
	w.WriteHeader(http.StatusNotModified)
	return p, true
}

// known reports whether the client has the page. It is false for "*": only the handler
// knows whether there is a page at all.
func (p *page) known(h http.Header) bool {
	if lines := h["If-None-Match"]; lines != nil {
		opaque := p.etag[3 : tagLength-1]
		for tag := range precondition.Tags(lines) {
			if tag.Opaque == string(opaque) {
				return true
			}
		}
		return false
	}
	since, ok := precondition.Date(h["If-Modified-Since"])
	return ok && !p.date.IsZero() && !p.date.After(since) && !since.After(p.h.now())
}

// pin makes the context for the handler, which pins the current versions. These may
// be newer than those that the tag was computed from, so it computes the tag again.
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
			h["Cache-Control"] = exchange.NoStore
		}
	case status == http.StatusOK:
		p.describe(h)
	}
}

// describe sets the headers that 200 and 304 share, except those that are set
// already.
func (p *page) describe(h http.Header) {
	personal := 0
	if p.personal() {
		personal = 1
	}
	if h["Cache-Control"] == nil {
		h["Cache-Control"] = p.h.cacheControl[personal]
	}
	if p.h.vary != nil {
		exchange.AddHeader(h, "Vary", p.h.vary)
	}
	if h["Etag"] != nil {
		return // the handler has its own tag, and decides about the date too
	}
	h["Etag"] = []string{string(p.etag[:])}
	if h["Last-Modified"] == nil && !p.date.IsZero() {
		h["Last-Modified"] = []string{p.date.Format(http.TimeFormat)}
	}
}
