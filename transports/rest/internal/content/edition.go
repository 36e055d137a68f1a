package content

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/meter"
)

// Editions makes the editions of one transport.
type Editions struct {
	// Monitors returns the paths of a binding's event streams.
	Monitors func(*live.View) []string

	// BasePath stands in front of these paths in most answers: the links behind it
	// are built once.
	BasePath string

	// Meter counts the bodies that are built.
	Meter *meter.Meter
}

// Edition is everything that answers show of one snapshot. It is built once and kept
// as long as the snapshot is. All methods may be called from any goroutine.
type Edition struct {
	// List is the content of the whole list.
	List *Content

	snapshot *live.Snapshot
	charge   *live.Charge
	meter    *meter.Meter
	monitors []string // the Link header behind base; nil if there is no event stream
	base     string
	links    func(base string) string // of monitors
	dated    atomic.Pointer[[]string]
	pages    pages
}

// editionKey tells apart the editions that different transports make of one snapshot.
type editionKey struct{ of *Editions }

// Of returns the edition of a snapshot of the binding.
func (e *Editions) Of(v *live.View, s *live.Snapshot) *Edition {
	return live.Memo(s.Cache(), editionKey{e}, func(c *live.Charge) *Edition {
		// Two brackets, a line feed, and a comma between rows.
		size := s.Bytes() + 3 + max(0, s.Len()-1)
		ed := &Edition{snapshot: s, List: newContent(s.Version().Token, size, s.Body, c), charge: c, meter: e.Meter}
		ed.List.meter = e.Meter
		ed.List.shared = true // the snapshot counts its body
		ed.links = func(base string) string { return e.MonitorLinks(base, v) }
		if links := ed.links(e.BasePath); links != "" {
			ed.monitors, ed.base = []string{links}, e.BasePath
		}
		return ed
	})
}

// MonitorLinks returns the links to the binding's event streams (RFC 5989) as one
// header value, "" if there are none.
func (e *Editions) MonitorLinks(base string, v *live.View) string {
	var links []string
	for _, url := range e.Monitors(v) {
		links = append(links, "<"+base+url+`>; rel="monitor"`)
	}
	return strings.Join(links, ", ")
}

// Links returns the Link header of answers whose paths begin with base, nil for
// none.
func (e *Edition) Links(base string) []string {
	if e.monitors == nil || base == e.base {
		return e.monitors
	}
	return []string{e.links(base)}
}

// LastModified returns the Last-Modified header for lists and pages of the snapshot,
// and the date that it shows. Both are zero while the snapshot is too new to have a
// date.
func (e *Edition) LastModified(now time.Time) ([]string, time.Time) {
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
