package core

import (
	"errors"
	"fmt"
	"time"
)

// The defaults of [Tuning].
const (
	DefaultMargin     = 16   // the least default; otherwise it equals the limit
	MaxDefaultMargin  = 1024 // the greatest default
	DefaultLogEvents  = 1024
	DefaultLogBytes   = 4 << 20
	DefaultIdleAfter  = time.Minute
	DefaultMaxMembers = 10_000
)

// Tuning sets how a binding uses memory and time. Except for OmitUnreadable it does not
// affect what the binding shows. The zero value of each field means its default. Start
// reports a negative value, unless the field's comment gives it a meaning.
type Tuning struct {
	// Margin is the number of hidden rows that a binding with a [Limit] holds beyond it, to
	// replace rows that go. The default is the limit, but at least [DefaultMargin] and at
	// most [MaxDefaultMargin]. Negative means none: the database is asked whenever one of
	// the first rows goes.
	Margin int

	// LogEvents and LogBytes bound the events that a binding keeps for subscribers who lag
	// or resume: their number, and the bytes of their rows. The defaults are
	// [DefaultLogEvents] and [DefaultLogBytes]. Negative keeps none, so that every lagging
	// subscriber gets a sync.
	LogEvents, LogBytes int

	// IdleAfter is how long an unused member stays alive, be it of a family or made for an
	// [Authorizer]'s scope. The default is [DefaultIdleAfter].
	IdleAfter time.Duration

	// MaxMembers bounds the members that are alive at a time. Beyond it the member that has
	// been unused for the longest time makes room. When all are in use, opening another
	// fails with [ErrTooManyMembers]. The default is [DefaultMaxMembers].
	MaxMembers int

	// MinInterval bounds how often a binding with dependencies is read: a read begins no
	// earlier than MinInterval after the previous one began. Changes in between share the
	// next read. Loading, Resync, Clear and Verify do not wait for it. Several bindings of
	// one table share their reads, at the longest of their intervals.
	//
	// By default the pause after a read is as long as the read took, at most five seconds.
	// So reads take up no more than about half of the time, however many writes there are.
	MinInterval time.Duration

	// WritesWait makes writes wait until the binding shows them. It is for bindings that
	// are read in full whenever a table changes ([DependsOn], a query). By default writes
	// do not wait for these, so a slow query does not slow down writers. Writes always wait
	// for bindings whose changed rows are read by key. When a binding has a [Limit] and a
	// condition that only the database can evaluate, writes wait for it as long as its
	// query answers within a quarter of a second.
	WritesWait bool

	// OmitUnreadable leaves out rows that the binding cannot show: rows that the loader
	// cannot read, and rows that cannot be encoded. By default such a row makes the binding
	// stale until the row is repaired, since every version must be a state that the table
	// was in.
	//
	// The binding's status counts and names the omitted rows, and they are logged once. A
	// binding with a [Limit] may then show fewer rows than that.
	OmitUnreadable bool
}

// Tune tunes the binding. When several such options set a field, the last one counts.
func Tune(t Tuning) Option {
	return func(s *settings) { s.tuning = s.tuning.and(t) }
}

// tune applies the tuning to the settings.
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

// and returns the tuning with the fields that o sets.
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

// problems returns the problems of the tuning for a binding with or without a limit.
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
