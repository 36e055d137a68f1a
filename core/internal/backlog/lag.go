package backlog

import "github.com/binderyhq/bindery/core/internal/rowset"

// Lags are the members that lack some reports until they are read in full, because batches
// have left them to a later read. The zero value is ready to use.
type Lags struct{ of map[*rowset.Member]*lag }

// lag is the reports that a member lacks.
type lag struct {
	// from and to are the first and the last report that it lacks. It may have some
	// between them.
	from, to uint64
	// frozen says that batches make no step of the member: its rows are too incomplete
	// to begin one.
	frozen bool
}

// Note notes that the member lacks the reports from from to to (none if from > to), and
// whether it is frozen until it is read.
func (l *Lags) Note(v *rowset.Member, from, to uint64, frozen bool) {
	one := l.of[v]
	if one == nil {
		if l.of == nil {
			l.of = make(map[*rowset.Member]*lag)
		}
		one = &lag{from: from}
		l.of[v] = one
	}
	one.from, one.to, one.frozen = min(one.from, from), max(one.to, to), one.frozen || frozen
}

// Has reports whether the member lacks anything.
func (l *Lags) Has(v *rowset.Member) bool { return l.of[v] != nil }

// Read notes that the member was read in full. again says that it will be read once more:
// then it is no longer frozen, but still counts as lacking the reports.
func (l *Lags) Read(v *rowset.Member, again bool) {
	switch one := l.of[v]; {
	case one == nil:
	case again:
		one.frozen = false
	default:
		delete(l.of, v)
	}
}

// Drop forgets the member.
func (l *Lags) Drop(v *rowset.Member) { delete(l.of, v) }

// Frozen returns the frozen members, nil for none.
func (l *Lags) Frozen() (frozen map[*rowset.Member]struct{}) {
	for v, one := range l.of {
		if !one.frozen {
			continue
		}
		if frozen == nil {
			frozen = make(map[*rowset.Member]struct{})
		}
		frozen[v] = struct{}{}
	}
	return frozen
}

// Lacks reports whether some member lacks the report.
func (l *Lags) Lacks(report uint64) bool {
	for _, one := range l.of {
		if one.from <= report && report <= one.to {
			return true
		}
	}
	return false
}
