// Package changelog keeps what a feed knows of the logs ([driver.ChangeLog]) of sources that
// notice commits afterwards: which ones the next batch asks, up to where bindings show
// what they tell, and whether they may be asked at all.
//
// A log is asked while every commit so far is shown or told by a log. A commit that no log
// tells makes a gap: bindings lack rows that nobody can name, and a later commit of these
// rows and of others would show in parts. A gap is closed by a comparison of the table
// that began later.
package changelog

import (
	"maps"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

// MaxLogs bounds the logs that are remembered. One that is forgotten is read from its
// beginning.
const MaxLogs = 16

// Logs are the logs of one feed. The zero value is ready to use. It has no lock: who keeps
// it guards it.
type Logs struct {
	asked map[driver.ChangeLog]*backlog.Reporter // to be asked by the next batch
	shown map[driver.ChangeLog]driver.Position   // up to where bindings show what they tell

	gaps   uint64 // ever made
	closed uint64 // the last one that a comparison has closed
}

// Usable reports whether there is no gap, so that logs may be asked.
func (l *Logs) Usable() bool { return l.gaps == l.closed }

// Pending reports whether the next batch has a log to ask.
func (l *Logs) Pending() bool { return len(l.asked) > 0 && l.Usable() }

// Ask has the next batch ask the log. by is the source that has noticed a commit.
func (l *Logs) Ask(log driver.ChangeLog, by *backlog.Reporter) {
	if l.asked == nil {
		l.asked = make(map[driver.ChangeLog]*backlog.Reporter)
	}
	l.asked[log] = by
}

// Take returns the logs that a batch asks. They wait for a gap to be closed.
func (l *Logs) Take() map[driver.ChangeLog]*backlog.Reporter {
	if !l.Pending() {
		return nil
	}
	taken := l.asked
	l.asked = nil
	return taken
}

// Gap notes that something was committed that no log tells.
func (l *Logs) Gap() { l.gaps++ }

// Shown returns up to where bindings show what the logs tell.
func (l *Logs) Shown() map[driver.ChangeLog]driver.Position { return maps.Clone(l.shown) }

// Show notes up to where bindings show what some logs tell.
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

// Mark is how the logs stood when a comparison began.
type Mark struct {
	gaps uint64
	ends map[driver.ChangeLog]driver.Position
}

// Begin returns the logs whose ends a comparison must know before it opens its snapshot,
// for [NewMark], and the number of gaps by then.
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

// NewMark returns the mark of a comparison that is about to open its snapshot. It asks
// the logs where they end, so it is called without a lock.
func NewMark(logs []driver.ChangeLog, gaps uint64) Mark { return Mark{gaps, Ends(logs)} }

// Compared notes that a comparison has ended: bindings show all that was committed before
// it began. While there was no gap batches have read the logs further, and nothing
// changes.
func (l *Logs) Compared(m Mark) {
	if l.Usable() {
		return
	}
	l.closed = m.gaps
	l.Show(m.ends)
}

// Ends returns where the logs end. It leaves out those that fail.
func Ends(logs []driver.ChangeLog) map[driver.ChangeLog]driver.Position {
	ends := make(map[driver.ChangeLog]driver.Position, len(logs))
	for _, log := range logs {
		if at, err := untyped.Guard("Position", log.Position); err == nil {
			ends[log] = at
		}
	}
	return ends
}
