package feed

import (
	"context"
	"maps"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

// Commits that a source notices afterwards.
//
// A source that finds that others have committed has the table compared, which takes
// long for a large one. Where it has a [driver.ChangeLog] as well, the next batch opens its
// snapshot, asks the log which rows were changed up to then, and reads these in the
// snapshot with whatever else it reads. So every commit that the batch shows a part of, it
// shows whole.
//
// That holds only while the log tells everything. From the moment on at which it does not,
// bindings lack rows of commits that nobody can name, and a later commit of these rows and
// others would show in parts. Until a comparison that began later has ended, the
// log is not used: the comparison publishes what differs, in one batch.

// noticed are the logs of sources that notice commits afterwards. The feed's mutex guards
// it.
type noticed struct {
	asked map[driver.ChangeLog]*backlog.Reporter // to be asked by the next batch
	read  map[driver.ChangeLog]driver.Position   // up to where bindings show what they tell

	// gaps counts how often something was committed that no log tells, and closed is the
	// last gap that a comparison has closed.
	gaps, closed uint64

	// When the comparison under way began: the gaps by then, and the logs' ends.
	gapsBefore uint64
	readBefore map[driver.ChangeLog]driver.Position
}

// maxLogs bounds the logs that are remembered. One that is forgotten is read from its
// beginning.
const maxLogs = 16

// usable reports whether logs may be asked.
func (n *noticed) usable() bool { return n.gaps == n.closed }

// pending reports whether the next batch asks a log.
func (n *noticed) pending() bool { return len(n.asked) > 0 && n.usable() }

// take returns the logs that a batch asks.
func (n *noticed) take() map[driver.ChangeLog]*backlog.Reporter {
	if !n.pending() {
		return nil
	}
	taken := n.asked
	n.asked = nil
	return taken
}

// ask has the next batch ask the logs.
func (n *noticed) ask(logs map[driver.ChangeLog]*backlog.Reporter) {
	if n.asked == nil && len(logs) > 0 {
		n.asked = make(map[driver.ChangeLog]*backlog.Reporter, len(logs))
	}
	maps.Copy(n.asked, logs)
}

// shown notes up to where bindings show what the logs tell.
func (n *noticed) shown(to map[driver.ChangeLog]driver.Position) {
	if n.read == nil {
		n.read = make(map[driver.ChangeLog]driver.Position)
	}
	maps.Copy(n.read, to)
	for log := range n.read {
		if _, now := to[log]; len(n.read) > maxLogs && !now {
			delete(n.read, log)
		}
	}
}

// compareLocked has the table compared because somebody has committed: the log tells
// what, nil if nobody knows.
func (f *Feed) compareLocked(by *backlog.Reporter, log driver.ChangeLog) *audit.Ticket {
	if log == nil {
		f.noticed.gaps++
	} else if !f.mode().Derived {
		f.noticed.ask(map[driver.ChangeLog]*backlog.Reporter{log: by})
		f.reported++ // a Flush waits for it
	}
	return f.compared.auditor.Request(audit.NewTicket(by))
}

// gapLocked notes that a log does not tell everything. It has the table compared.
func (f *Feed) gapLocked(by *backlog.Reporter) {
	f.noticed.gaps++
	f.compared.auditor.Request(audit.NewTicket(by))
}

// logEnds returns where the logs end. It leaves out those that fail.
func logEnds(logs []driver.ChangeLog) map[driver.ChangeLog]driver.Position {
	ends := make(map[driver.ChangeLog]driver.Position, len(logs))
	for _, log := range logs {
		if at, err := untyped.Guard("Position", log.Position); err == nil {
			ends[log] = at
		}
	}
	return ends
}

// comparisonBegins notes where the logs end, before the comparison's snapshot is opened.
func (f *Feed) comparisonBegins() {
	f.mu.Lock()
	n := &f.noticed
	gaps := n.gaps
	logs := slices.Collect(maps.Keys(n.read))
	for log := range n.asked {
		if _, known := n.read[log]; !known {
			logs = append(logs, log)
		}
	}
	f.mu.Unlock()
	ends := logEnds(logs)
	f.mu.Lock()
	n.gapsBefore, n.readBefore = gaps, ends
	f.mu.Unlock()
}

// comparisonEndedLocked notes that bindings show all that was committed before the
// comparison began.
func (f *Feed) comparisonEndedLocked() {
	n := &f.noticed
	if n.usable() {
		return // batches have read the logs further
	}
	n.closed = n.gapsBefore
	n.shown(n.readBefore)
	if n.pending() {
		f.kick()
	}
}

// readLogs adds to the work the rows that the logs tell, once the snapshot is open in which
// these are read. ends is where the logs ended before that.
func (f *Feed) readLogs(ctx context.Context, w *work, ends map[driver.ChangeLog]driver.Position) {
	if len(w.logs) == 0 {
		return
	}
	tables := []driver.Table{f.Table}
	f.mu.Lock()
	from := maps.Clone(f.noticed.read)
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

// showsOwn reports whether rows show others of their own table.
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
