package digest

import (
	"sync/atomic"
	"time"
)

// Stamp is a time of change together with the HTTP date that stands for it.
// HTTP dates have a resolution of one second (RFC 9110, section 8.8.2), so the
// date is the change rounded up to the next full second and must not be shown
// before that second has come: then no two states share a date, and a date
// that was ever shown is later than the state it belongs to and not later than
// any other.
type Stamp struct {
	// Modified is the time of the change.
	Modified time.Time

	date  time.Time
	shown atomic.Bool
}

// NewStamp returns the stamp of a change at now, later than prev (which may be
// nil), also when the clock was set back in between.
func NewStamp(now time.Time, prev *Stamp) *Stamp {
	now = now.UTC()
	s := &Stamp{Modified: now, date: now.Truncate(time.Second).Add(time.Second)}
	if prev == nil {
		return s
	}
	if s.Modified.Before(prev.Modified) {
		s.Modified = prev.Modified
	}
	if s.date.Before(prev.date) || s.date.Equal(prev.date) {
		s.date = prev.date
		if prev.shown.Load() {
			s.date = prev.date.Add(time.Second)
		}
	}
	return s
}

// Restored returns the stamp of what was saved by an earlier run and is served
// again from now on. Its date is that of now: whatever dates that run has shown,
// for this state or for later ones that were not saved, are not later.
func Restored(modified, now time.Time) *Stamp {
	s := NewStamp(now, nil)
	s.Modified = modified.UTC()
	return s
}

// HTTPDate returns the date to show at now, and false as long as none may be
// shown.
func (s *Stamp) HTTPDate(now time.Time) (time.Time, bool) {
	if now.Before(s.date) {
		return time.Time{}, false
	}
	s.shown.Store(true)
	return s.date, true
}

// After reports whether the stamp's time and date are both later than those of o.
func (s *Stamp) After(o *Stamp) bool { return s.Modified.After(o.Modified) && s.date.After(o.date) }
