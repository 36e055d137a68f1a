package core

import (
	"fmt"
	"strings"

	"github.com/binderyhq/bindery/core/filter"
)

// Option says what a binding holds, and how. Options are given to [Bind] and to
// the Bind functions of sources. Whatever is wrong with them is reported by
// [Registry.Start].
type Option func(*spec)

// spec is what the options of a binding amount to.
type spec struct {
	filter      filter.Expr
	where       any
	whereText   string
	order       []Order
	limit       int
	logEvents   int
	logBytes    int
	writable    bool
	mayLeave    bool
	matchNeeded bool
	problems    []error
	placeOfBind string
}

// Where restricts the binding to the rows for which all the expressions are
// true. Several Where options add up.
func Where(exprs ...filter.Expr) Option {
	return func(s *spec) {
		all := exprs
		if s.filter != nil {
			all = append([]filter.Expr{s.filter}, exprs...)
		}
		if len(all) == 1 {
			s.filter = all[0]
			return
		}
		s.filter = filter.And(all...)
	}
}

// WithWhere restricts the binding by a condition in the loader's own terms,
// which the engine does not understand: the loader is asked which of the rows
// that changed meet it. The text stands for the condition in version tokens:
// equal conditions have equal texts. It is for loaders to build their own
// options with.
func WithWhere(where any, text string) Option {
	return func(s *spec) {
		if s.where != nil {
			s.problems = append(s.problems, fmt.Errorf("two conditions in the loader's terms (%s; %s): combine them into one", s.whereText, text))
		}
		s.where, s.whereText = where, text
	}
}

// OrderBy orders the rows by the columns; a leading "-" makes a column
// descending. The order is always made total by the key, so equal rows never
// swap. Values are compared as Go does (text by its bytes, NULL below
// everything), in memory as in the database. Without OrderBy rows are ordered
// by their key.
func OrderBy(columns ...string) Option {
	return func(s *spec) {
		for _, c := range columns {
			name, desc := strings.CutPrefix(c, "-")
			s.order = append(s.order, Order{Column: name, Desc: desc})
		}
	}
}

// OrderByColumns orders the rows as [OrderBy] does, with a say in where NULLs go.
func OrderByColumns(order ...Order) Option {
	return func(s *spec) { s.order = append(s.order, order...) }
}

// Limit keeps the first n rows in the binding's order. There is no limit
// without it; n must be at least 1.
func Limit(n int) Option {
	return func(s *spec) {
		if n < 1 {
			s.problems = append(s.problems, fmt.Errorf("limit %d: must be at least 1", n))
		}
		s.limit = n
	}
}

// Writable lets clients write to the binding through transports that can, such
// as rest. A write reaches only rows that the binding holds, and is rolled back
// when it would put a row outside; see [RowsMayLeave]. The loader must be a
// [Writer].
func Writable() Option { return func(s *spec) { s.writable = true } }

// RowsMayLeave lets a write put a row outside of a writable binding.
func RowsMayLeave() Option { return func(s *spec) { s.mayLeave = true } }

// RequireMatch refuses updates and deletes of a writable binding that do not
// say which version of the row they mean (If-Match).
func RequireMatch() Option { return func(s *spec) { s.matchNeeded = true } }

// The default bounds of a binding's event log.
const (
	DefaultLogEvents = 1024
	DefaultLogBytes  = 4 << 20
)

// LogSize bounds the events that a binding keeps for subscribers who lag or
// resume: their number, and the bytes of their rows. 0 means the default
// ([DefaultLogEvents], [DefaultLogBytes]); a negative number keeps none, so
// that everyone who lags gets a sync.
func LogSize(events, bytes int) Option {
	return func(s *spec) { s.logEvents, s.logBytes = events, bytes }
}

func bound(n, fallback int) int {
	switch {
	case n == 0:
		return fallback
	case n < 0:
		return 0
	}
	return n
}
