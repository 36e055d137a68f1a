package rest

import (
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/meter"
)

// edition is what a transport derives from one snapshot, once: it lives as
// long as the snapshot does and is shared by all requests.
type edition struct {
	snapshot *live.Snapshot
	charge   *live.Charge
	meter    *meter.Meter
	list     *content
	monitors []string // the Link header behind base; nil when there is no event stream
	base     string
	links    func(base string) string // of monitors
	dated    atomic.Pointer[[]string]
	pages    pages
}

// editionKey keeps the editions of different transports apart.
type editionKey struct{ t *Transport }

// edition returns the transport's edition of the snapshot.
func (t *Transport) edition(v *live.View, s *live.Snapshot) *edition {
	return live.Memo(s.Cache(), editionKey{t}, func(c *live.Charge) *edition {
		// Two brackets, a line feed, and a comma between rows.
		size := s.Bytes() + 3 + max(0, s.Len()-1)
		e := &edition{snapshot: s, list: newContent(s.Version().Token, size, s.Body, c), charge: c, meter: &t.meter}
		e.list.built = e.meter
		e.list.shared = true // the snapshot keeps it
		e.links = func(base string) string { return t.monitorLinks(base, v) }
		if links := e.links(t.cfg.BasePath); links != "" {
			e.monitors, e.base = []string{links}, t.cfg.BasePath
		}
		return e
	})
}

// lastModified returns the Last-Modified header of everything that is made from
// the whole snapshot, and nil while it must not be shown.
func (e *edition) lastModified(now time.Time) ([]string, time.Time) {
	date, ok := e.snapshot.HTTPDate(now)
	if !ok {
		return nil, time.Time{}
	}
	// A snapshot's date does not change once it has been shown.
	if text := e.dated.Load(); text != nil {
		return *text, date
	}
	text := []string{date.Format(http.TimeFormat)}
	e.dated.Store(&text)
	return text, date
}

// The pages of one snapshot that are kept are bounded in number and bytes;
// others are built for each request.
const (
	maxPages     = 64
	maxPageBytes = 4 << 20
)

type pages struct {
	mu    sync.Mutex
	kept  map[window]*content // guarded by mu
	bytes int                 // of their plain bodies; guarded by mu
}

// window is the part of a list that a page shows.
type window struct{ limit, offset int }

// page returns the content of a page. Its tag is a hash of its body, and so it
// stays the same as long as no row of the page changes, whatever happens to the
// others.
func (e *edition) page(w window) *content {
	if w.offset >= e.snapshot.Len() {
		w = window{} // all pages beyond the end are alike
	}
	e.pages.mu.Lock()
	c := e.pages.kept[w]
	e.pages.mu.Unlock()
	if c != nil {
		return c
	}
	c = newPage(e.snapshot, w, e.charge)
	c.built = e.meter
	e.pages.mu.Lock()
	defer e.pages.mu.Unlock()
	if other := e.pages.kept[w]; other != nil {
		return other
	}
	if len(e.pages.kept) >= maxPages || e.pages.bytes+c.size > maxPageBytes {
		c.charge = nil // it goes with the answer
		return c
	}
	if e.pages.kept == nil {
		e.pages.kept = make(map[window]*content)
	}
	e.pages.kept[w] = c
	e.pages.bytes += c.size
	return c
}

func newPage(s *live.Snapshot, w window, charge *live.Charge) *content {
	h := xxh3.New()
	size := 0
	write := func(b []byte) {
		_, _ = h.Write(b) // a hash does not fail
		size += len(b)
	}
	separator, comma := []byte{'['}, []byte{','}
	for r := range s.Page(w.offset, w.limit) {
		write(separator)
		write(r.JSON())
		separator = comma
	}
	if size == 0 {
		write(separator)
	}
	write([]byte("]\n"))
	sum := h.Sum128().Bytes()
	return newContent(base64.RawURLEncoding.EncodeToString(sum[:]), size, func() []byte {
		return append(live.AppendRows(make([]byte, 0, size), s.Page(w.offset, w.limit)), '\n')
	}, charge)
}

// rowContent returns the content of a single row.
func rowContent(r live.Row) *content {
	size := len(r.JSON()) + 1
	return newContent(r.Token(), size, func() []byte {
		return append(append(make([]byte, 0, size), r.JSON()...), '\n')
	}, nil)
}

// linksBehind returns the Link header of answers behind this base path.
func (e *edition) linksBehind(base string) []string {
	if e.monitors == nil || base == e.base {
		return e.monitors
	}
	return []string{e.links(base)}
}

// monitorLinks returns the links to the binding's event streams (RFC 5989), as
// one header value.
func (t *Transport) monitorLinks(base string, v *live.View) string {
	var links []string
	for _, url := range t.reg.Monitors(v) {
		links = append(links, "<"+base+url+`>; rel="monitor"`)
	}
	return strings.Join(links, ", ")
}
