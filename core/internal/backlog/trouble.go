package backlog

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

// Trouble is why one member of a feed does not take part in its batches: a row
// that it cannot show, a condition that the database refuses, a first read that
// failed. Meanwhile the member keeps its last version. It is tried again, with
// back-off, where it holds up nobody, and sooner when one of its rows changes.
type Trouble struct {
	Err      error
	Rows     *RowFailures // the rows to blame; nil: it could not be read at all
	How      Reload       // how it must be read
	Full     bool         // reading the rows that it has missed does not do
	Since    time.Time
	Missed   uint64 // the first batch that it has missed, see journal
	failures int    // by itself
	backoff  *Backoff
	Due      time.Time
	Reading  bool          // beside the batches
	Joining  bool          // it takes part in the batch under way, to see whether it can
	Again    *Reload       // asked for while it was being read
	Healed   chan struct{} // closed when it takes part again
}

// Troubles are the troubles of a feed's members. As long as it is not known
// whose fault a failed read is, members are read together, ever fewer of them,
// in the end one by one. The feed's mutex guards them.
type Troubles struct {
	Waiting map[*rowset.Member]*Trouble
	AtOnce  int       // so many are read together
	Next    time.Time // no read before
	logged  map[string]struct{}
}

// MaxTroubledReads is the greatest number of members in trouble that are read
// together.
const MaxTroubledReads = 128

// maxLoggedTroubles bounds the texts that are remembered as logged.
const maxLoggedTroubles = 64

// Ask has the member read in full at once.
func (t *Trouble) Ask(how Reload) {
	t.Due, t.Full = time.Time{}, true
	if !t.Reading {
		t.How = t.How.And(how)
		return
	}
	if t.Again == nil {
		t.Again = &Reload{}
	}
	*t.Again = t.Again.And(how) // the read under way may have begun before
}

// Add puts a member in trouble, or updates the trouble that it is in.
func (r *Troubles) Add(v *rowset.Member, err error, rows *RowFailures, how Reload, full bool, now time.Time) *Trouble {
	if len(r.Waiting) == 0 {
		r.Waiting, r.AtOnce = make(map[*rowset.Member]*Trouble), MaxTroubledReads
	}
	t := r.Waiting[v]
	if t == nil {
		t = &Trouble{Since: now, backoff: NewBackoff(), Healed: make(chan struct{})}
		r.Waiting[v] = t
	}
	t.Err, t.Rows, t.How = err, rows, t.How.And(how)
	t.Full = t.Full || full || rows == nil || v.Unread()
	if rows != nil { // nobody else is to blame
		t.failures++
		t.Due = time.Now().Add(t.backoff.Next())
	}
	return t
}

// Remove ends a member's trouble.
func (r *Troubles) Remove(v *rowset.Member) {
	if t := r.Waiting[v]; t != nil {
		delete(r.Waiting, v)
		close(t.Healed)
	}
	if len(r.Waiting) == 0 {
		r.logged = nil
	}
}

// reading failed for several members at once; nobody knows whose fault it is.
func (r *Troubles) Failed(views []*rowset.Member, err error) {
	now := time.Now()
	r.Next = now.Add(FirstBackoff)
	r.AtOnce = max(1, len(views)/2)
	for _, v := range views {
		t := r.Waiting[v]
		if t == nil {
			continue // removed
		}
		t.Err, t.Rows = err, nil
		if len(views) == 1 {
			t.failures++
			t.Due = now.Add(t.backoff.Next())
		}
	}
}

// Take returns the members that are to be read in full now.
func (r *Troubles) Take() []*rowset.Member {
	now := time.Now()
	if r.Next.After(now) {
		return nil
	}
	var due []*rowset.Member
	for v, t := range r.Waiting {
		if t.Full && !t.Due.After(now) {
			due = append(due, v)
		}
	}
	// Those first of whom least is known.
	slices.SortFunc(due, func(a, b *rowset.Member) int {
		return cmp.Or(cmp.Compare(r.Waiting[a].failures, r.Waiting[b].failures), rowset.BySeq(a, b))
	})
	return due[:min(len(due), r.AtOnce)]
}

// Wait returns how long it is until one of them may be read again, false when
// there is none. byKey asks about those that have only missed some keys.
func (r *Troubles) Wait(byKey bool) (time.Duration, bool) {
	var due time.Time
	first := true
	for _, t := range r.Waiting {
		if t.Full != byKey && (first || t.Due.Before(due)) {
			due, first = t.Due, false
		}
	}
	if !byKey && due.Before(r.Next) {
		due = r.Next
	}
	return time.Until(due), !first
}

// News reports whether the text of a failure has not been logged since there
// was no trouble.
func (r *Troubles) News(text string) bool {
	if _, ok := r.logged[text]; ok || len(r.logged) >= maxLoggedTroubles {
		return false
	}
	if r.logged == nil {
		r.logged = make(map[string]struct{})
	}
	r.logged[text] = struct{}{}
	return true
}

// RowFailures says which rows a binding cannot show, and why.
type RowFailures struct {
	Errs  map[driver.Key]error // the first maxRowFailures of them
	Count int
	bytes int
	other error // of a row that has no key
}

// maxRowFailures and maxFailureBytes bound the rows that are remembered for one binding,
// with the reasons, and MaxNamedRows those that a status and an error name.
const (
	maxRowFailures  = 1000
	maxFailureBytes = 256 << 10
	MaxNamedRows    = 8
)

// Add notes a row. The key is "" when it could not be told.
func (r *RowFailures) Add(key driver.Key, err error) {
	if key == "" {
		if r.other == nil {
			r.other = err
			r.Count++
		}
		return
	}
	if _, again := r.Errs[key]; again {
		return
	}
	r.Count++
	if r.Errs == nil {
		r.Errs = make(map[driver.Key]error)
	}
	if cost := costOf(key) + len(err.Error()); len(r.Errs) < maxRowFailures && r.bytes+cost <= maxFailureBytes {
		r.Errs[key] = err
		r.bytes += cost
	}
}

// Drop takes a row out that is remembered.
func (r *RowFailures) Drop(key driver.Key) {
	if err, ok := r.Errs[key]; ok {
		delete(r.Errs, key)
		r.bytes -= costOf(key) + len(err.Error())
		r.Count--
	}
}

// Size estimates how many bytes the keys and the reasons take.
func (r *RowFailures) Size() int {
	if r == nil {
		return 0
	}
	return r.bytes
}

// Keys returns the keys of the rows, in order.
func (r *RowFailures) Keys() []driver.Key {
	if r == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(r.Errs))
}

// Err names the rows and what is wrong with the first.
func (r *RowFailures) Err() error {
	keys := r.Keys()
	if len(keys) == 0 {
		return fmt.Errorf("a row cannot be shown: %w", r.other)
	}
	names := make([]string, 0, MaxNamedRows)
	for _, k := range keys[:min(len(keys), MaxNamedRows)] {
		names = append(names, k.String())
	}
	rest := ""
	if n := r.Count - len(names); n > 0 {
		rest = fmt.Sprintf(" and %d more", n)
	}
	what := "row"
	if r.Count > 1 {
		what = "rows"
	}
	return fmt.Errorf("%s %s%s cannot be shown: %w", what, strings.Join(names, ", "), rest, r.Errs[keys[0]])
}
