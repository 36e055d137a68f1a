package core

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// trouble is why one member of a feed does not take part in its batches: a row
// that it cannot show, a condition that the database refuses, a first read that
// failed. Meanwhile the member keeps its last version. It is tried again, with
// back-off, where it holds up nobody, and sooner when one of its rows changes.
type trouble struct {
	err      error
	rows     *rowFailures // the rows to blame; nil: it could not be read at all
	how      reload       // how it must be read
	full     bool         // reading the rows that it has missed does not do
	since    time.Time
	missed   uint64 // the first batch that it has missed, see journal
	failures int    // by itself
	backoff  *backoff
	due      time.Time
	reading  bool          // beside the batches
	joining  bool          // it takes part in the batch under way, to see whether it can
	again    *reload       // asked for while it was being read
	healed   chan struct{} // closed when it takes part again
}

// troubles are the troubles of a feed's members. As long as it is not known
// whose fault a failed read is, members are read together, ever fewer of them,
// in the end one by one. The feed's mutex guards them.
type troubles struct {
	waiting map[*rowset.Member]*trouble
	atOnce  int       // so many are read together
	next    time.Time // no read before
	logged  map[string]struct{}
}

// maxTroubledReads is the greatest number of members in trouble that are read
// together.
const maxTroubledReads = 128

// maxLoggedTroubles bounds the texts that are remembered as logged.
const maxLoggedTroubles = 64

// ask has the member read in full at once.
func (t *trouble) ask(how reload) {
	t.due, t.full = time.Time{}, true
	if !t.reading {
		t.how = t.how.and(how)
		return
	}
	if t.again == nil {
		t.again = &reload{}
	}
	*t.again = t.again.and(how) // the read under way may have begun before
}

// add puts a member in trouble, or updates the trouble that it is in.
func (r *troubles) add(v *rowset.Member, err error, rows *rowFailures, how reload, full bool, now time.Time) *trouble {
	if len(r.waiting) == 0 {
		r.waiting, r.atOnce = make(map[*rowset.Member]*trouble), maxTroubledReads
	}
	t := r.waiting[v]
	if t == nil {
		t = &trouble{since: now, backoff: newBackoff(), healed: make(chan struct{})}
		r.waiting[v] = t
	}
	t.err, t.rows, t.how = err, rows, t.how.and(how)
	t.full = t.full || full || rows == nil || v.Snapshot() == nil
	if rows != nil { // nobody else is to blame
		t.failures++
		t.due = time.Now().Add(t.backoff.next())
	}
	return t
}

// remove ends a member's trouble.
func (r *troubles) remove(v *rowset.Member) {
	if t := r.waiting[v]; t != nil {
		delete(r.waiting, v)
		close(t.healed)
	}
	if len(r.waiting) == 0 {
		r.logged = nil
	}
}

// reading failed for several members at once; nobody knows whose fault it is.
func (r *troubles) failed(views []*rowset.Member, err error) {
	now := time.Now()
	r.next = now.Add(firstBackoff)
	r.atOnce = max(1, len(views)/2)
	for _, v := range views {
		t := r.waiting[v]
		if t == nil {
			continue // removed
		}
		t.err, t.rows = err, nil
		if len(views) == 1 {
			t.failures++
			t.due = now.Add(t.backoff.next())
		}
	}
}

// take returns the members that are to be read in full now.
func (r *troubles) take() []*rowset.Member {
	now := time.Now()
	if r.next.After(now) {
		return nil
	}
	var due []*rowset.Member
	for v, t := range r.waiting {
		if t.full && !t.due.After(now) {
			due = append(due, v)
		}
	}
	// Those first of whom least is known.
	slices.SortFunc(due, func(a, b *rowset.Member) int {
		return cmp.Or(cmp.Compare(r.waiting[a].failures, r.waiting[b].failures), rowset.BySeq(a, b))
	})
	return due[:min(len(due), r.atOnce)]
}

// wait returns how long it is until one of them may be read again, false when
// there is none. byKey asks about those that have only missed some keys.
func (r *troubles) wait(byKey bool) (time.Duration, bool) {
	var due time.Time
	first := true
	for _, t := range r.waiting {
		if t.full != byKey && (first || t.due.Before(due)) {
			due, first = t.due, false
		}
	}
	if !byKey && due.Before(r.next) {
		due = r.next
	}
	return time.Until(due), !first
}

// news reports whether the text of a failure has not been logged since there
// was no trouble.
func (r *troubles) news(text string) bool {
	if _, ok := r.logged[text]; ok || len(r.logged) >= maxLoggedTroubles {
		return false
	}
	if r.logged == nil {
		r.logged = make(map[string]struct{})
	}
	r.logged[text] = struct{}{}
	return true
}

// rowFailures says which rows a binding cannot show, and why.
type rowFailures struct {
	errs  map[driver.Key]error // the first maxRowFailures of them
	count int
	other error // of a row that has no key
}

// maxRowFailures bounds the keys that are remembered for one binding, and
// maxNamedRows those that a status and an error name.
const (
	maxRowFailures = 1000
	maxNamedRows   = 8
)

// add notes a row. The key is "" when it could not be told.
func (r *rowFailures) add(key driver.Key, err error) {
	if key == "" {
		if r.other == nil {
			r.other = err
			r.count++
		}
		return
	}
	if _, again := r.errs[key]; again {
		return
	}
	r.count++
	if r.errs == nil {
		r.errs = make(map[driver.Key]error)
	}
	if len(r.errs) < maxRowFailures {
		r.errs[key] = err
	}
}

// keys returns the keys of the rows, in order.
func (r *rowFailures) keys() []driver.Key {
	if r == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(r.errs))
}

// err names the rows and what is wrong with the first.
func (r *rowFailures) err() error {
	keys := r.keys()
	if len(keys) == 0 {
		return fmt.Errorf("a row cannot be shown: %w", r.other)
	}
	names := make([]string, 0, maxNamedRows)
	for _, k := range keys[:min(len(keys), maxNamedRows)] {
		names = append(names, k.String())
	}
	rest := ""
	if n := r.count - len(names); n > 0 {
		rest = fmt.Sprintf(" and %d more", n)
	}
	what := "row"
	if r.count > 1 {
		what = "rows"
	}
	return fmt.Errorf("%s %s%s cannot be shown: %w", what, strings.Join(names, ", "), rest, r.errs[keys[0]])
}
