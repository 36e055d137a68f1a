package feed

import (
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/status"
)

// note records the result of a batch. It logs a failure unless the last one had the same
// text, and the end of failures.
func (f *Feed) note(err error) {
	f.mu.Lock()
	before := f.failure
	if err != nil {
		f.stats.Failures++
	}
	if (err == nil) != (before == nil) {
		f.since = f.host.Now()
	}
	f.failure = err
	f.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		f.host.Logger.Warn("core: reading failed; rows are served from memory until it succeeds", slog.String("id", "core-read-failed"),
			slog.String("table", f.Table.String()), slog.Any("error", err))
	case err == nil && before != nil:
		f.host.Logger.Info("core: reading succeeds again", slog.String("id", "core-read-healed"), slog.String("table", f.Table.String()))
	}
}

// State returns the state of one of the feed's bindings.
func (f *Feed) State(v *rowset.Member) (status.State, time.Time, error) {
	watched, since, lost := f.host.Watched()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case v.Snapshot() == nil:
		if t := f.troubles.Waiting[v]; t != nil {
			return status.Loading, t.Since, t.Err
		}
		return status.Loading, f.since, f.failure
	case v.Unread():
		if t := f.troubles.Waiting[v]; t != nil {
			return status.Restored, t.Since, t.Err
		}
		if f.failure != nil {
			return status.Restored, f.since, f.failure
		}
		return status.Restored, f.since, errRestored
	case f.troubles.Waiting[v] != nil:
		t := f.troubles.Waiting[v]
		return status.Stale, t.Since, t.Err
	case f.failure != nil:
		return status.Stale, f.since, f.failure
	case f.compared.failure != nil:
		return status.Stale, f.compared.since, f.compared.failure
	case !watched:
		return status.Stale, since, lost
	case len(f.compared.mending) > 0 || f.mendsLocked(v):
		return status.Stale, since, errMending
	}
	for _, at := range []time.Time{f.since, f.compared.since} {
		if since.Before(at) {
			since = at
		}
	}
	return status.Live, since, nil
}

// mendsLocked reports whether the binding is yet to be read to make up for missed changes.
func (f *Feed) mendsLocked(v *rowset.Member) bool {
	for _, r := range []*fullRead{f.waiting[v], f.underway[v]} {
		if r != nil && r.how.Mends {
			return true
		}
	}
	return false
}

// Trouble returns why the binding is in trouble, and a channel that is closed when that
// ends. Both are nil if it is in no trouble.
func (f *Feed) Trouble(v *rowset.Member) (healed <-chan struct{}, why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.troubles.Waiting[v]; t != nil {
		return t.Healed, t.Err
	}
	return nil, nil
}

// TroubledRows returns the first rows that the binding cannot show, by key, and the number
// of all. It returns at most [backlog.MaxNamedRows].
func (f *Feed) TroubledRows(v *rowset.Member) (some []status.Trouble, count int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var rows *backlog.RowFailures
	if o := f.omissions[v]; o != nil {
		rows = o.rows
	}
	if t := f.troubles.Waiting[v]; t != nil && t.Rows != nil {
		rows = t.Rows
	}
	if rows == nil {
		return nil, 0
	}
	for _, key := range rows.Keys() {
		if len(some) == backlog.MaxNamedRows {
			break
		}
		reason, _, _ := strings.Cut(rows.Errs[key].Error(), "\n") // the stack of a panic follows
		some = append(some, status.Trouble{Key: key, Reason: reason})
	}
	return some, rows.Count
}

// Status returns the feed's statistics.
func (f *Feed) Status() status.Feed {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.stats
	st.Troubled = len(f.troubles.Waiting)
	st.Table = f.Table
	return st
}

// errRestored is why a restored binding is not live.
var errRestored = errors.New("core: rows of an earlier run are served; the database has not been read since")
