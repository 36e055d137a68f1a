package content

import (
	"encoding/base64"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/rest/internal/paging"
)

// Bounds of the pages that an edition keeps. Other pages are built for each request.
const (
	maxPages     = 64
	maxPageBytes = 4 << 20 // of their plain bodies
)

// pages are the pages that an edition keeps.
type pages struct {
	mu    sync.Mutex // guards what follows
	kept  map[paging.Window]*Content
	bytes int // of their plain bodies
}

// Page returns the content of a page. Its tag is a hash of its body: it stays the
// same while no row of the page changes, whatever happens to other rows.
func (e *Edition) Page(w paging.Window) *Content {
	if w.Offset >= e.snapshot.Len() {
		w = paging.Window{} // all pages beyond the end are alike
	}
	e.pages.mu.Lock()
	c := e.pages.kept[w]
	e.pages.mu.Unlock()
	if c != nil {
		return c
	}
	c = newPage(e.snapshot, w, e.charge)
	c.meter = e.meter
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
		e.pages.kept = make(map[paging.Window]*Content)
	}
	e.pages.kept[w] = c
	e.pages.bytes += c.size
	return c
}

func newPage(s *live.Snapshot, w paging.Window, charge *live.Charge) *Content {
	h := xxh3.New()
	size := 0
	write := func(b []byte) {
		_, _ = h.Write(b) // a hash does not fail
		size += len(b)
	}
	separator, comma := []byte{'['}, []byte{','}
	for r := range s.Page(w.Offset, w.Limit) {
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
		return append(live.AppendRows(make([]byte, 0, size), s.Page(w.Offset, w.Limit)), '\n')
	}, charge)
}
