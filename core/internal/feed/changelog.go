package feed

import (
	"context"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/changelog"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

// Commits that a source notices afterwards.
//
// A source that finds a commit by others has the table compared, which is slow for a large
// table. If it also has a [driver.ChangeLog], the next batch opens its snapshot, asks the
// log which rows had changed by then, and reads these in the same snapshot as the rest. So
// the batch shows each commit whole, or not at all.
//
// Package changelog says when a log may be asked.

// compareLocked requests a comparison of the table after a commit. log tells which rows
// changed; it is nil when that is unknown.
func (f *Feed) compareLocked(by *backlog.Reporter, log driver.ChangeLog) *audit.Ticket {
	if log == nil {
		f.logs.Gap()
	} else if !f.mode().Derived {
		f.logs.Ask(log, by)
		f.reported++ // a Flush waits for it
	}
	return f.compared.auditor.Request(audit.NewTicket(by))
}

// gapLocked notes a change that no log tells, and requests a comparison of the table.
func (f *Feed) gapLocked(by *backlog.Reporter) {
	f.logs.Gap()
	f.compared.auditor.Request(audit.NewTicket(by))
}

// comparisonBegins notes where the logs end, before the comparison opens its snapshot.
func (f *Feed) comparisonBegins() {
	f.mu.Lock()
	logs, gaps := f.logs.Begin()
	f.mu.Unlock()
	m := changelog.NewMark(logs, gaps)
	f.mu.Lock()
	f.compared.logs = m
	f.mu.Unlock()
}

// comparisonEndedLocked notes that bindings show every commit before the comparison began.
func (f *Feed) comparisonEndedLocked() {
	f.logs.Compared(f.compared.logs)
	if f.logs.Pending() {
		f.kick()
	}
}

// readLogs adds the rows that the logs name to the work. The snapshot in which they are
// read must be open already; ends is where the logs ended before that.
func (f *Feed) readLogs(ctx context.Context, w *work, ends map[driver.ChangeLog]driver.Position) {
	if len(w.logs) == 0 {
		return
	}
	tables := []driver.Table{f.Table}
	f.mu.Lock()
	from := f.logs.Shown()
	for v := range f.members {
		for _, rel := range v.RelatedTables() {
			if t := rel.Schema.Table; !slices.Contains(tables, t) {
				tables = append(tables, t)
			}
		}
	}
	f.mu.Unlock()
	told := make(map[driver.ChangeLog]map[driver.Table][]driver.Key, len(w.logs))
	rows := len(w.Keys)
	for log, by := range w.logs {
		changed, err := untyped.Guard("Changed", func() (map[driver.Table][]driver.Key, error) { return log.Changed(ctx, tables, from[log]) })
		for _, keys := range changed {
			rows += len(keys)
		}
		if err != nil || ends[log] == "" || rows > f.host.MaxBatchKeys {
			f.mu.Lock()
			f.gapLocked(by)
			f.mu.Unlock()
			return
		}
		told[log] = changed
	}
	w.logsRead = ends
	for log, changed := range told {
		for table, keys := range changed {
			if table == f.Table {
				w.Add(keys, w.logs[log])
			}
			if table != f.Table || f.showsOwn() {
				w.AddRelated(table, keys, w.logs[log])
			}
		}
	}
}

// showsOwn reports whether rows of the table show other rows of the same table.
func (f *Feed) showsOwn() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for v := range f.members {
		for _, rel := range v.RelatedTables() {
			if rel.Schema.Table == f.Table {
				return true
			}
		}
	}
	return false
}
