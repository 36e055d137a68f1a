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

// Trouble is why a member of a feed takes no part in batches: a row that it cannot show, a
// condition that the database rejects, a first read that failed. The member keeps its last
// version meanwhile. It is retried with back-off, and sooner if one of the rows to blame
// changes.
type Trouble struct {
	Err      error
	Rows     *RowFailures // the rows to blame; nil: the member could not be read at all
	How      Reload       // how to read it
	Full     bool         // it must be read in full, not only the rows that it has missed
	Since    time.Time
	Missed   uint64 // the first batch that it may have missed, see Journal
	failures int    // failed reads of this member alone
	backoff  *Backoff
	Due      time.Time
	Reading  bool          // a background read is under way
	Joining  bool          // it takes part in the batch under way, as a trial
	Again    *Reload       // a request that came during the background read
	changed  bool          // a row to blame may have changed during the background read
	Healed   chan struct{} // closed when it takes part again
}

// Troubles are the members of a feed that are in trouble. They are read in groups. If a
// group fails, the next is half as large, until the culprit is alone. The feed's mutex
// guards them.
type Troubles struct {
	Waiting map[*rowset.Member]*Trouble
	AtOnce  int       // size of the next group
	Next    time.Time // earliest time of the next read
	logged  map[string]struct{}
}

// MaxTroubledReads bounds a group of members in trouble.
const MaxTroubledReads = 128

// maxLoggedTroubles bounds the remembered texts of logged errors.
const maxLoggedTroubles = 64

// Ask requests that the member be read in full without waiting for its back-off.
func (t *Trouble) Ask(how Reload) {
	t.Due, t.Full = time.Time{}, true
	if !t.Reading {
		t.How = t.How.And(how)
		return
	}
	if t.Again == nil {
		t.Again = &Reload{}
	}
	*t.Again = t.Again.And(how) // the read under way may miss what this is about
}

// Changed says that a row to blame may have changed. The member is retried after the pause,
// if not sooner.
func (t *Trouble) Changed(pause time.Duration) {
	t.changed = t.Reading // the read under way may miss the change
	if due := time.Now().Add(pause); due.Before(t.Due) {
		t.Due = due
	}
}

// ReadAgain decides, after a read in full has failed, when to retry: at once if somebody
// asked for it meanwhile, after the pause if a row to blame changed meanwhile, and else by
// the back-off.
func (t *Trouble) ReadAgain(pause time.Duration) {
	changed := t.changed
	t.changed = false
	switch {
	case t.Again != nil:
		t.How, t.Again, t.Due = t.How.And(*t.Again), nil, time.Time{}
	case changed:
		t.Changed(pause)
	}
}

// Add puts a member in trouble, or updates its trouble.
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
	if rows != nil { // no other member is to blame
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

// Failed notes that a read of a group failed. It halves the group; a single member gets the
// blame, and its back-off.
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

// Take returns the next group to read in full now, nil if none is due.
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
	// Members with the fewest failures of their own come first.
	slices.SortFunc(due, func(a, b *rowset.Member) int {
		return cmp.Or(cmp.Compare(r.Waiting[a].failures, r.Waiting[b].failures), rowset.BySeq(a, b))
	})
	return due[:min(len(due), r.AtOnce)]
}

// Wait returns the time until the next retry, false if there is none. byKey asks about the
// members that have only missed some keys, otherwise about those to read in full.
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

// News reports whether an error's text is to be logged: it was not since the last time that
// no member was in trouble, and not too many others were.
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
	Errs  map[driver.Key]error // at most maxRowFailures
	Count int
	bytes int
	other error // of the first row without a key
}

// maxRowFailures and maxFailureBytes bound the rows remembered for one binding, with their
// errors. MaxNamedRows bounds the rows that a status or an error names.
const (
	maxRowFailures  = 1000
	maxFailureBytes = 256 << 10
	MaxNamedRows    = 8
)

// Add notes a row that cannot be shown. key is "" for a row without one.
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

// Drop removes a remembered row.
func (r *RowFailures) Drop(key driver.Key) {
	if err, ok := r.Errs[key]; ok {
		delete(r.Errs, key)
		r.bytes -= costOf(key) + len(err.Error())
		r.Count--
	}
}

// HasAny reports whether it remembers one of the keys.
func (r *RowFailures) HasAny(keys map[driver.Key]struct{}) bool {
	if r == nil {
		return false
	}
	for k := range r.Errs {
		if _, ok := keys[k]; ok {
			return true
		}
	}
	return false
}

// Size estimates the size of the keys and errors in bytes.
func (r *RowFailures) Size() int {
	if r == nil {
		return 0
	}
	return r.bytes
}

// Keys returns the remembered keys, in order.
func (r *RowFailures) Keys() []driver.Key {
	if r == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(r.Errs))
}

// Err returns an error that names the first rows and wraps the error of the first.
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
