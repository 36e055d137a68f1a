package pollsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/ondemand"
)

// Source looks for changes at an interval and on request, and reports them. Its methods
// may be called from any goroutine.
type Source struct {
	interval time.Duration
	check    Check
	cfg      Config
	extra    bool          // more than one configuration is given
	fullPass time.Duration // not above 0: never
	looks    ondemand.Looks
}

var (
	_ driver.Source    = (*Source)(nil)
	_ driver.Scoper    = (*Source)(nil)
	_ driver.Validator = (*Source)(nil)
	_ driver.Looker    = (*Source)(nil)
)

// Every returns a source that has every bound table read in full at the interval, and
// compared with its bindings' rows. Use it beside a faster source, as an audit:
//
//	reg.Watch(bunsource.Hooks(db), pollsource.Every(time.Minute))
//
// It is short for New(interval, nil).
func Every(interval time.Duration) *Source { return New(interval, nil) }

// New returns a source that runs the check at the interval, and reports its findings.
// The interval must be above 0; it counts from the end of a poll to the start of the
// next. With a nil check each poll has every table compared. New takes at most one
// configuration; without one everything has its default.
//
// New does no input or output. [Source.Validate] reports mistakes in its arguments;
// Watch returns them as a permanent error.
func New(interval time.Duration, check Check, cfg ...Config) *Source {
	s := &Source{interval: interval, check: check}
	s.extra = len(cfg) > 1
	if len(cfg) > 0 {
		s.cfg = cfg[0]
		s.cfg.Tables = slices.Clone(s.cfg.Tables)
	}
	s.cfg = s.cfg.WithDefaults()
	for i := range s.cfg.Tables {
		if t := &s.cfg.Tables[i]; t.Database == "" {
			t.Database = s.cfg.Database
		}
	}
	if s.check == nil {
		s.check = always{}
	}
	s.fullPass = s.cfg.FullPass
	if s.fullPass == 0 {
		s.fullPass = s.check.fullPass()
	}
	return s
}

// Validate implements [driver.Validator]. It returns all mistakes in the arguments of
// [New]. It does no input or output.
func (s *Source) Validate() error {
	var errs []error
	if s.extra {
		errs = append(errs, errors.New("more than one configuration is given"))
	}
	if s.interval <= 0 {
		errs = append(errs, fmt.Errorf("the interval %v is not above 0", s.interval))
	}
	if err := s.cfg.Validate(); err != nil {
		errs = append(errs, err)
	}
	if s.cfg.FullPass > 0 && s.check == (always{}) {
		errs = append(errs, errors.New("config: FullPass needs a check: without one every poll is a full pass"))
	}
	if s.cfg.MaxInterval > 0 {
		if s.check == (always{}) {
			errs = append(errs, errors.New("config: MaxInterval needs a check: without one it is not known whether anything changed"))
		}
		if s.cfg.MaxInterval < s.interval {
			errs = append(errs, fmt.Errorf("config: MaxInterval %v is below the interval %v", s.cfg.MaxInterval, s.interval))
		}
	}
	if err := s.check.validate(); err != nil {
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("pollsource: setting up: %w", errors.Join(errs...))
}

// Name implements [driver.Source].
func (*Source) Name() string { return "pollsource" }

// Scope implements [driver.Scoper]. A source without a check, a Database and Tables
// sees every database.
func (s *Source) Scope() driver.Scope {
	return driver.Scope{Database: s.cfg.Database, Any: s.cfg.Database == "" && s.check == (always{}), Tables: s.cfg.Tables}
}

// Watch implements [driver.Source]. It returns when ctx is done, or at once with a
// permanent error of [Source.Validate]. It reports all other errors to the sink, and
// retries.
func (s *Source) Watch(ctx context.Context, sink driver.Sink) error {
	if err := s.Validate(); err != nil {
		return driver.Permanent(err)
	}
	r := &run{source: s, sink: sink, wait: s.interval, woken: make(chan struct{}, 1), asked: make(chan struct{})}
	defer r.close()
	return r.loop(ctx)
}
