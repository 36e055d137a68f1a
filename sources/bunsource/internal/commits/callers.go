package commits

import (
	"regexp"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

// callers know which statements may write though they only select, because of the
// functions that they call.
type callers struct {
	writers atomic.Pointer[map[string]sqltext.Mention] // nil: nobody has asked the database yet
	wide    atomic.Int64                               // until then, in Unix nanoseconds, any function may be new
	defined chan struct{}                              // capacity 1
}

// wideFor is how long any function counts as one that may write, after the program has
// defined some: they are there when that is committed, and the database is asked now and
// then.
const wideFor = 15 * time.Second

// SetWriters says which functions may write, and which views call them.
func (t *Tracker) SetWriters(names map[string]sqltext.Mention) { t.callers.writers.Store(&names) }

// Defined returns a channel that receives when the program has defined functions or
// views.
func (t *Tracker) Defined() <-chan struct{} { return t.callers.defined }

var defines = regexp.MustCompile(`(?is)\b(CREATE|ALTER|DROP)\b.*\b(FUNCTION|ROUTINE|AGGREGATE|VIEW|EXTENSION)\b`)

// noteDefinition notes that a text may define functions or views.
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
		return false // functions of SQLite write nothing, and of other databases nothing is known
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

// OnlyReads reports whether a text does nothing but read.
func (t *Tracker) OnlyReads(query string) bool {
	d := t.Dialect()
	return sqltext.OnlyReads(query, d) && !t.callers.call(query, d)
}
