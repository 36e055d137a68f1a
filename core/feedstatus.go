package core

import (
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/core/status"
)

// note records and logs how a read went: a failure once per streak of equal
// texts, and its end.
func (f *feed) note(err error) {
	f.mu.Lock()
	before := f.failure
	if err != nil {
		f.stats.Failures++
	}
	if (err == nil) != (before == nil) {
		f.since = f.now()
	}
	f.failure = err
	f.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		f.logger().Warn("core: reading failed; rows are served from memory until it succeeds",
			slog.String("table", f.table.String()), slog.Any("error", err))
	case err == nil && before != nil:
		f.logger().Info("core: reading succeeds again", slog.String("table", f.table.String()))
	}
}

// noteApart records and logs how a read went that says nothing about the feed as
// a whole.
func (f *feed) noteApart(err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	f.stats.Failures++
	news := f.retries.lastError != err.Error()
	f.retries.lastError = err.Error()
	f.mu.Unlock()
	if news {
		f.logger().Warn("core: members of a family cannot be loaded for now; others are not held up",
			slog.String("table", f.table.String()), slog.Any("error", err))
	}
}

// stateOf returns the state of one of the feed's bindings.
func (f *feed) stateOf(v *publisher) (status.State, time.Time, error) {
	watched, since, lost := f.eng.watched(f.table)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case v.Snapshot() == nil:
		if one := f.retries.waiting[v]; one != nil {
			return status.Loading, f.since, one.err
		}
		return status.Loading, f.since, f.failure
	case f.failure != nil:
		return status.Stale, f.since, f.failure
	case f.compared.failure != nil:
		return status.Stale, f.since, f.compared.failure
	case !watched:
		return status.Stale, since, lost
	case len(f.compared.mending) > 0:
		return status.Stale, since, errMending
	}
	if since.Before(f.since) {
		since = f.since
	}
	return status.Live, since, nil
}

func (f *feed) snapshotStats() status.Feed {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.stats
	st.Table = f.table
	return st
}
