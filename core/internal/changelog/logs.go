// Package changelog tracks the logs ([driver.ChangeLog]) of sources that notice commits
// afterwards: which logs the next batch asks, up to which position bindings show them, and
// whether logs may be asked at all.
//
// Logs may be asked as long as bindings show, or a log tells, every commit so far. A commit
// that no log tells makes a gap: bindings lack unknown rows, so a later commit to these and
// other rows would show in part. A comparison of the table that begins later closes the gap.
package changelog

import (
	"maps"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

// MaxLogs bounds the remembered logs. A forgotten log is read from its beginning.
const MaxLogs = 16

// Logs are the logs of one feed. The zero value is ready to use. It has no lock: the owner
// must guard it.
type Logs struct {
	asked map[driver.ChangeLog]*backlog.Reporter // to be asked by the next batch
	shown map[driver.ChangeLog]driver.Position   // up to which position bindings show them

	gaps   uint64 // number of gaps so far
	closed uint64 // the last gap that a comparison has closed
}

// Usable reports whether logs may be asked: no gap is open.
func (l *Logs) Usable() bool { return l.gaps == l.closed }

// Pending reports whether the next batch has a log to ask.
func (l *Logs) Pending() bool { return len(l.asked) > 0 && l.Usable() }

// Ask has the next batch ask the log. by is the source that noticed a commit.
func (l *Logs) Ask(log driver.ChangeLog, by *backlog.Reporter) {
	if l.asked == nil {
		l.asked = make(map[driver.ChangeLog]*backlog.Reporter)
	}
	l.asked[log] = by
}

// Take returns the logs for a batch to ask, nil while a gap is open.
func (l *Logs) Take() map[driver.ChangeLog]*backlog.Reporter {
	if !l.Pending() {
		return nil
	}
	taken := l.asked
	l.asked = nil
	return taken
}

// Gap notes a commit that no log tells.
func (l *Logs) Gap() { l.gaps++ }

// Shown returns the positions up to which bindings show the logs.
func (l *Logs) Shown() map[driver.ChangeLog]driver.Position { return maps.Clone(l.shown) }

// Show notes the positions up to which bindings now show some logs.
func (l *Logs) Show(to map[driver.ChangeLog]driver.Position) {
	if l.shown == nil {
		l.shown = make(map[driver.ChangeLog]driver.Position)
	}
	maps.Copy(l.shown, to)
	for log := range l.shown {
		if _, now := to[log]; len(l.shown) > MaxLogs && !now {
			delete(l.shown, log)
		}
	}
}

// Mark is the state of the logs when a comparison began.
type Mark struct {
	gaps uint64
	ends map[driver.ChangeLog]driver.Position
}

// Begin returns the arguments of [NewMark]: the known logs, and the number of gaps so far.
func (l *Logs) Begin() (logs []driver.ChangeLog, gaps uint64) {
	for log := range l.shown {
		logs = append(logs, log)
	}
	for log := range l.asked {
		if _, known := l.shown[log]; !known {
			logs = append(logs, log)
		}
	}
	return logs, l.gaps
}

// NewMark returns the mark of a comparison that is about to open its snapshot. It asks the
// logs where they end, so call it without a lock.
func NewMark(logs []driver.ChangeLog, gaps uint64) Mark { return Mark{gaps, Ends(logs)} }

// Compared notes that a comparison has ended: bindings show every commit before it began.
// That closes gaps. If there is none, it does nothing, because batches have read the logs
// further.
func (l *Logs) Compared(m Mark) {
	if l.Usable() {
		return
	}
	l.closed = m.gaps
	l.Show(m.ends)
}

// Ends returns the end positions of the logs. It leaves out logs that fail.
func Ends(logs []driver.ChangeLog) map[driver.ChangeLog]driver.Position {
	ends := make(map[driver.ChangeLog]driver.Position, len(logs))
	for _, log := range logs {
		if at, err := untyped.Guard("Position", log.Position); err == nil {
			ends[log] = at
		}
	}
	return ends
}
