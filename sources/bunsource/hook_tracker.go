package bunsource

import (
	"cmp"
	"database/sql"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/schema"
)

// tracker is where the hook and the driver wrapper of one *sql.DB meet the
// sinks of the registries that watch it. It is safe for concurrent use.
type tracker struct {
	wrapped bool // the driver is wrapped

	dialect atomic.Pointer[dialectInfo]
	sinks   atomic.Pointer[[]*attachment] // never modified, only replaced
	bound   atomic.Pointer[boundTables]

	mu       sync.Mutex // guards what follows, and replacing the pointers above
	name     string
	nameSeen bool // the loader has asked for the name
	hooked   []weak.Pointer[bun.DB]

	stray strayChanges // hook only
}

// dialectInfo is what Bun knows of the database.
type dialectInfo struct {
	name   dialect.Name
	tables *schema.Tables
}

// attachment is one sink, while its source watches.
type attachment struct {
	sink   driver.Sink
	source *HookSource
	late   lateChanges
}

func newTracker() *tracker {
	t := &tracker{}
	t.sinks.Store(new([]*attachment))
	t.dialect.Store(&dialectInfo{})
	return t
}

// trackers finds the tracker of a *sql.DB whose driver is not wrapped. An
// entry goes when its *sql.DB does.
var trackers sync.Map // weak.Pointer[sql.DB] -> *tracker

// trackerOf returns the tracker of a *sql.DB, and makes one where there is
// none. A wrapped driver holds its own.
func trackerOf(db *sql.DB) *tracker {
	if d, ok := db.Driver().(*wrappedDriver); ok {
		return d.tracker
	}
	key := weak.Make(db)
	if t, ok := trackers.Load(key); ok {
		return t.(*tracker)
	}
	t, loaded := trackers.LoadOrStore(key, newTracker())
	if !loaded {
		runtime.AddCleanup(db, func(key weak.Pointer[sql.DB]) { trackers.Delete(key) }, key)
	}
	return t.(*tracker)
}

// databaseName returns the name that the user gave the database, "" for the
// usual one. It is asked of the *sql.DB, so every copy of a *bun.DB
// (WithQueryHook, WithNamedArg) has the same.
func databaseName(db *bun.DB) string {
	t := trackerOf(db.DB)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.nameSeen = true
	return t.name
}

// setName names the database. It reports false when another name was in use
// already.
func (t *tracker) setName(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if name == t.name {
		return true
	}
	if t.nameSeen || t.name != "" {
		return false
	}
	t.name = name
	t.bound.Store(nil)
	return true
}

func (t *tracker) database() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.name
}

func (t *tracker) setDialect(d schema.Dialect) {
	t.dialect.Store(&dialectInfo{name: d.Name(), tables: d.Tables()})
}

// parse says what an SQL text writes; nil: nothing.
func (t *tracker) parse(query string) *parsed { return parse(query, t.dialect.Load().name) }

// autoIncrements reports whether Bun's model of the table says that the
// database makes its key.
func (t *tracker) autoIncrements(table driver.Table) bool {
	tables := t.dialect.Load().tables
	if tables == nil {
		return false
	}
	for _, m := range tables.All() {
		if strings.EqualFold(m.Name, table.Name) {
			return len(m.PKs) == 1 && m.PKs[0].AutoIncrement
		}
	}
	return false
}

func (t *tracker) attach(a *attachment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sinks := append(slices.Clip(*t.sinks.Load()), a)
	t.sinks.Store(&sinks)
	t.bound.Store(nil)
}

func (t *tracker) detach(a *attachment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sinks := slices.DeleteFunc(slices.Clone(*t.sinks.Load()), func(b *attachment) bool { return a == b })
	t.sinks.Store(&sinks)
	t.bound.Store(nil)
}

// boundTables are the tables of the database that are bound in any registry
// that watches.
type boundTables struct {
	database string
	byName   map[string][]*driver.Schema // by name in lower case
	changed  []<-chan struct{}
	read     time.Time
}

// boundFor is for how long the list of bound tables is kept: its columns may
// be known better once a loader has asked the database.
const boundFor = time.Second

// boundTables returns what is bound now.
func (t *tracker) boundTables() *boundTables {
	if b := t.bound.Load(); b != nil && b.fresh() {
		return b
	}
	b := &boundTables{database: t.database(), byName: make(map[string][]*driver.Schema), read: time.Now()}
	sinks := t.sinks.Load()
	for _, a := range *sinks {
		schemas, changed := a.sink.Tables()
		b.changed = append(b.changed, changed)
		for i := range schemas {
			b.add(&schemas[i])
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sinks.Load() == sinks { // otherwise it is out of date already
		t.bound.Store(b)
	}
	return b
}

func (b *boundTables) fresh() bool {
	for _, c := range b.changed {
		select {
		case <-c:
			return false
		default:
		}
	}
	return time.Since(b.read) < boundFor
}

func (b *boundTables) add(s *driver.Schema) {
	if s.Table.Database != b.database {
		return
	}
	name := strings.ToLower(s.Table.Name)
	for i, have := range b.byName[name] {
		if have.Table == s.Table {
			// Two registries bind the table: what both hold for exact is, and it
			// is shown where one of them shows it.
			merged := *have
			if len(s.Columns) < len(have.Columns) {
				merged = *s
			}
			merged.Shown = have.Shown || s.Shown
			b.byName[name][i] = &merged
			return
		}
	}
	b.byName[name] = append(b.byName[name], s)
	slices.SortFunc(b.byName[name], func(x, y *driver.Schema) int { return cmp.Compare(x.Table.Schema, y.Table.Schema) })
}

// match returns the bound tables that a table of an SQL text may be. Names
// match in any case, and a schema left out on either side matches any:
// reporting too much costs one read.
func (b *boundTables) match(t tableName) []*driver.Schema {
	all := b.byName[t.name]
	if t.schema == "" {
		return all
	}
	for i, s := range all {
		if s.Table.Schema == "" || strings.EqualFold(s.Table.Schema, t.schema) {
			continue
		}
		out := slices.Clone(all[:i])
		for _, s := range all[i:] {
			if s.Table.Schema == "" || strings.EqualFold(s.Table.Schema, t.schema) {
				out = append(out, s)
			}
		}
		return out
	}
	return all
}

// everything is the change of every table of the database.
func (b *boundTables) everything() []driver.Change {
	return []driver.Change{{Table: driver.Table{Database: b.database}}}
}

// announced is an announcement to all sinks.
type announced struct {
	sinks []*attachment
	anns  []driver.Announcement
}

// announce announces changes to all sinks. It returns nil when there is
// nothing to announce, or nobody to hear it.
func (t *tracker) announce(changes []driver.Change) *announced {
	sinks := *t.sinks.Load()
	if len(changes) == 0 || len(sinks) == 0 {
		return nil
	}
	a := &announced{sinks: sinks, anns: make([]driver.Announcement, len(sinks))}
	for i, s := range sinks {
		a.anns[i] = s.sink.Announce(cloneChanges(changes)...)
	}
	return a
}

// withdraw says that nothing came of the announcement, which may be nil.
func (a *announced) withdraw() {
	if a == nil {
		return
	}
	for _, ann := range a.anns {
		ann.Withdraw()
	}
}

// awaited is a receipt, and the source on whose terms it is waited for.
type awaited struct {
	receipt driver.Receipt
	source  *HookSource
}

// confirm reports changes that are committed and visible. a is what was
// announced of them, or nil. A sink that came since gets a report.
func (t *tracker) confirm(a *announced, changes []driver.Change) []awaited {
	if len(changes) == 0 {
		a.withdraw()
		return nil
	}
	var out []awaited
	await := func(s *attachment, r driver.Receipt) {
		if !s.source.cfg.Async {
			out = append(out, awaited{receipt: r, source: s.source})
		}
	}
	if a != nil {
		for i, ann := range a.anns {
			await(a.sinks[i], ann.Confirm(cloneChanges(changes)...))
		}
	}
	for _, s := range *t.sinks.Load() {
		if a == nil || !slices.Contains(a.sinks, s) {
			await(s, s.sink.Report(cloneChanges(changes)...))
		}
	}
	return out
}

// reportLater has changes reported again for a while: it is not known whether,
// or when, they become visible.
func (t *tracker) reportLater(changes []driver.Change) {
	if len(changes) == 0 {
		return
	}
	for _, s := range *t.sinks.Load() {
		s.late.add(changes)
	}
}
