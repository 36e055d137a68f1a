package commits

import (
	"regexp"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

// callers finds SELECTs that may write because they call functions that write.
type callers struct {
	writers atomic.Pointer[map[string]sqltext.Mention] // nil: nobody has asked the database yet
	wide    atomic.Int64                               // until this time, in Unix nanoseconds, any function may be new
	defined chan struct{}                              // capacity 1
}

// wideFor is how long any unknown function counts as one that may write, after the
// program has defined some. It covers the time until their transaction commits and the
// database is asked again.
const wideFor = 15 * time.Second

// SetWriters says which functions may write, and which views call them.
func (t *Tracker) SetWriters(names map[string]sqltext.Mention) { t.callers.writers.Store(&names) }

// Defined returns a channel that receives when the program has defined functions or
// views.
func (t *Tracker) Defined() <-chan struct{} { return t.callers.defined }

var defines = regexp.MustCompile(`(?is)\b(CREATE|ALTER|DROP)\b.*\b(FUNCTION|ROUTINE|AGGREGATE|VIEW|EXTENSION|RULE|PARTITION|INHERITS?)\b`)

// noteDefinition notes that a text may define functions, views, or what else passes
// writes on to other tables.
func (c *callers) noteDefinition(p *sqltext.Text) {
	for i := range p.Ops {
		if p.Ops[i].Effect == sqltext.WriteAny && defines.MatchString(p.Source) {
			c.wide.Store(time.Now().Add(wideFor).UnixNano())
			select {
			case c.defined <- struct{}{}:
			default:
			}
			return
		}
	}
}

// call reports whether the text may call a function that writes.
func (c *callers) call(query string, d sqltext.Dialect) bool {
	if d != sqltext.Postgres && d != sqltext.MySQL {
		return false // SQLite's functions do not write, and other databases' are not known
	}
	names := c.writers.Load()
	if names == nil {
		return false // no registry watches
	}
	if wide := c.wide.Load(); wide != 0 && time.Now().UnixNano() < wide && sqltext.CallsUnknown(query, d) {
		return true
	}
	return sqltext.Mentions(query, d, *names)
}

// OnlyReads reports whether a text only reads.
func (t *Tracker) OnlyReads(query string) bool {
	d := t.Dialect()
	return sqltext.OnlyReads(query, d) && !t.callers.call(query, d)
}
