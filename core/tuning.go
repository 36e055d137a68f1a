package core

import (
	"errors"
	"fmt"
	"time"
)

// The defaults of [Tuning].
const (
	DefaultMargin     = 16   // at least, and as many as the limit
	MaxDefaultMargin  = 1024 // at most
	DefaultLogEvents  = 1024
	DefaultLogBytes   = 4 << 20
	DefaultIdleAfter  = time.Minute
	DefaultMaxMembers = 10_000
)

// Tuning says how a binding uses memory and time. What it shows does not depend on
// it, except for OmitUnreadable. The zero value of each field means its default.
type Tuning struct {
	// Margin is how many rows a binding with a [Limit] holds beyond it, to take the
	// place of rows that go. Nobody sees them. The default is as many as the limit,
	// but at least [DefaultMargin] and at most [MaxDefaultMargin]. Negative means
	// none: the database is asked whenever one of the first rows goes.
	Margin int

	// LogEvents and LogBytes bound the events that a binding keeps for subscribers
	// who lag or resume: their number, and the bytes of their rows. The defaults
	// are [DefaultLogEvents] and [DefaultLogBytes]. Negative keeps none, so that
	// everyone who lags gets a sync.
	LogEvents, LogBytes int

	// IdleAfter is how long a member of a family stays alive when nobody uses it,
	// and a member that an [Authorizer]'s scope makes of a binding. The default is
	// [DefaultIdleAfter].
	IdleAfter time.Duration

	// MaxMembers bounds the members that are alive at a time. When there are as
	// many, the one that has not been used for the longest time makes room. When
	// all are in use, opening another fails with [ErrTooManyMembers]. The default is
	// [DefaultMaxMembers].
	MaxMembers int

	// MinInterval bounds how often a binding with dependencies is read: a read
	// begins no earlier than MinInterval after the one before began. Changes
	// meanwhile share the next read. Loading, Resync, Clear and Verify do not wait
	// for it. Several bindings of one table share their reads, at the longest of
	// their intervals.
	//
	// By default the pause after a read is as long as the read took, at most five
	// seconds, so no more than about half of the time goes into reading however
	// much is written.
	MinInterval time.Duration

	// WritesWait makes writes wait until the binding shows them. It is for bindings
	// that are read in full whenever a table changes ([DependsOn], a query). By
	// default writes do not wait for these, so a slow query does not slow down writers.
	// Writes always wait for bindings whose changed rows are read by key. For a binding
	// with a [Limit] whose condition only the database knows they wait as long as its
	// query answers within a quarter of a second.
	WritesWait bool

	// OmitUnreadable leaves rows out of the binding that it cannot show: rows that
	// the loader cannot read, and rows that cannot be encoded. By default such a
	// row makes the binding stale until it is mended, since a version is always a
	// state that the table was in.
	//
	// What is left out is counted and named in the binding's status, and logged
	// once. A binding with a [Limit] may show fewer rows than that.
	OmitUnreadable bool
}

// Tune tunes the binding. Of several such options, the last that sets a field
// counts.
func Tune(t Tuning) Option {
	return func(s *settings) { s.tuning = s.tuning.and(t) }
}

// tune has the rows kept as the tuning says.
func (s *settings) tune() {
	t := s.tuning
	s.Problems = append(s.Problems, t.problems(s.Limit > 0 || s.LimitChoice != nil)...)
	s.Margin = t.margin(s.Limit)
	if s.LimitChoice != nil {
		s.LimitChoice.Margin = t.margin
	}
	s.LogEvents, s.LogBytes = bound(t.LogEvents, DefaultLogEvents), bound(t.LogBytes, DefaultLogBytes)
	s.MinInterval, s.Awaited, s.Omit = t.MinInterval, t.WritesWait, t.OmitUnreadable
	s.IdleAfter, s.MaxMembers = t.IdleAfter, t.MaxMembers
}

// and returns the tuning with what the other sets.
func (t Tuning) and(o Tuning) Tuning {
	setInt := func(to *int, n int) {
		if n != 0 {
			*to = n
		}
	}
	setDuration := func(to *time.Duration, d time.Duration) {
		if d != 0 {
			*to = d
		}
	}
	setInt(&t.Margin, o.Margin)
	setInt(&t.LogEvents, o.LogEvents)
	setInt(&t.LogBytes, o.LogBytes)
	setInt(&t.MaxMembers, o.MaxMembers)
	setDuration(&t.IdleAfter, o.IdleAfter)
	setDuration(&t.MinInterval, o.MinInterval)
	t.WritesWait = t.WritesWait || o.WritesWait
	t.OmitUnreadable = t.OmitUnreadable || o.OmitUnreadable
	return t
}

// problems returns what is wrong with the tuning of a binding that is limited, or not.
func (t Tuning) problems(limited bool) (errs []error) {
	if t.Margin != 0 && !limited {
		errs = append(errs, errors.New("Tuning.Margin is for bindings with a Limit"))
	}
	if t.IdleAfter < 0 {
		errs = append(errs, fmt.Errorf("Tuning.IdleAfter %v is negative", t.IdleAfter))
	}
	if t.MaxMembers < 0 {
		errs = append(errs, fmt.Errorf("Tuning.MaxMembers %d is negative", t.MaxMembers))
	}
	if t.MinInterval < 0 {
		errs = append(errs, fmt.Errorf("Tuning.MinInterval %v is negative", t.MinInterval))
	}
	return errs
}

// margin returns how many rows a binding with the limit holds beyond it.
func (t Tuning) margin(limit int) int {
	switch {
	case t.Margin < 0:
		return 0
	case t.Margin > 0:
		return t.Margin
	default:
		return min(max(limit, DefaultMargin), MaxDefaultMargin)
	}
}

// bound returns n, the fallback for 0, and 0 for a negative n.
func bound(n, fallback int) int {
	switch {
	case n == 0:
		return fallback
	case n < 0:
		return 0
	}
	return n
}
