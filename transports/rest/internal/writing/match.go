package writing

import (
	"net/http"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/rest/internal/content"
	"github.com/binderyhq/bindery/transports/rest/internal/exchange"
	"github.com/binderyhq/bindery/transports/rest/internal/precondition"
)

// matcher returns a function that evaluates the preconditions of a write (RFC 9110,
// section 13.2.2) for the row as the database has it, nil if there are none. It takes
// dates from the snapshot, because the database has none.
func (w *Writer) matcher(h http.Header, s *live.Snapshot, key driver.Key) func(live.Row) bool {
	if h["If-Match"] == nil && h["If-None-Match"] == nil && h["If-Unmodified-Since"] == nil {
		return nil
	}
	return func(row live.Row) bool {
		c := content.Row(row)
		if lines := h["If-Match"]; lines != nil {
			if !precondition.MatchesStrongly(lines, c) {
				return false
			}
		} else if since, ok := precondition.Date(h["If-Unmodified-Since"]); ok {
			// A change that the snapshot does not show yet is later than every date.
			shown, ok := s.Get(key)
			if !ok || shown.Token() != row.Token() {
				return false
			}
			if date, ok := shown.HTTPDate(w.Registry.Now()); !ok || date.After(since) {
				return false
			}
		}
		return !precondition.MatchesWeakly(h["If-None-Match"], c)
	}
}

// admitsInsert evaluates the preconditions of a POST, which are about the list. Nothing
// locks the list until the insert, so two clients with the same precondition may both
// insert.
func (w *Writer) admitsInsert(x *exchange.Exchange, s *live.Snapshot) bool {
	h, list := x.R.Header, w.Editions.Of(x.View, s).List
	if lines := h["If-Match"]; lines != nil {
		if !precondition.MatchesStrongly(lines, list) {
			return false
		}
	} else if since, ok := precondition.Date(h["If-Unmodified-Since"]); ok {
		if date, ok := s.HTTPDate(w.Registry.Now()); !ok || date.After(since) {
			return false
		}
	}
	return !precondition.MatchesWeakly(h["If-None-Match"], list)
}
