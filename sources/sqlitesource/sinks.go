package sqlitesource

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

func (s *Source) attach(sink driver.Sink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sinks := append(slices.Clip(*s.sinks.Load()), sink)
	s.sinks.Store(&sinks)
	s.bound.Store(nil)
}

func (s *Source) detach(sink driver.Sink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sinks := slices.DeleteFunc(slices.Clone(*s.sinks.Load()), func(o driver.Sink) bool { return o == sink })
	s.sinks.Store(&sinks)
	s.bound.Store(nil)
}

func (s *Source) watched() bool { return len(*s.sinks.Load()) > 0 }

// boundTables are the tables of the database that are bound in any registry
// that watches. It is immutable, but for read. Two that are the same set are
// the same pointer, so that what was derived from it need not be derived again.
type boundTables struct {
	schemas []driver.Schema
	changed []<-chan struct{}
	read    time.Time
}

// boundFor is for how long the list is kept even if no binding comes or goes:
// a loader may meanwhile have learned more about its columns.
const boundFor = time.Second

func (s *Source) boundTables() *boundTables {
	was := s.bound.Load()
	if was != nil && was.fresh() {
		return was
	}
	b := &boundTables{read: time.Now()}
	sinks := s.sinks.Load()
	for _, sink := range *sinks {
		schemas, changed := sink.Tables()
		b.changed = append(b.changed, changed)
		for _, schema := range schemas {
			if schema.Table.Database == s.cfg.Database {
				b.schemas = append(b.schemas, schema)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sinks.Load() == sinks { // otherwise it is out of date already
		s.bound.Store(b)
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

// sameAs reports whether both hold the same tables with the same keys.
func (b *boundTables) sameAs(o *boundTables) bool {
	return b == o || slices.EqualFunc(b.schemas, o.schemas, func(x, y driver.Schema) bool {
		return x.Table == y.Table && slices.Equal(x.Key, y.Key) && slices.EqualFunc(x.Columns, y.Columns,
			func(a, b driver.Column) bool { return a.Name == b.Name && a.Kind == b.Kind })
	})
}

// matches reports whether the bound table may be the table that SQLite names.
// A schema left out is whichever database SQLite finds the name in.
func matches(t driver.Table, ref tableRef) bool {
	return strings.EqualFold(t.Name, ref.name) && (t.Schema == "" || strings.EqualFold(t.Schema, ref.database))
}

// everything is the change of every table of the database.
func (s *Source) everything() []driver.Change {
	return []driver.Change{{Table: driver.Table{Database: s.cfg.Database}}}
}

// announced is an announcement to all sinks.
type announced struct {
	sinks []driver.Sink
	anns  []driver.Announcement
}

// single reports whether the changes are those of one row that no other shows:
// nobody can see a part of them.
func (b *boundTables) single(changes []driver.Change) bool {
	return len(changes) == 1 && len(changes[0].Keys) == 1 && !slices.ContainsFunc(b.schemas, func(s driver.Schema) bool {
		return s.Shown && s.Table == changes[0].Table
	})
}

// announce announces changes that somebody could see a part of.
func (s *Source) announce(changes []driver.Change) *announced {
	sinks := *s.sinks.Load()
	if len(changes) == 0 || s.boundTables().single(changes) || len(sinks) == 0 {
		return nil
	}
	a := &announced{sinks: sinks, anns: make([]driver.Announcement, len(sinks))}
	for i, sink := range sinks {
		a.anns[i] = sink.Announce(cloneChanges(changes)...)
	}
	return a
}

// confirm reports changes that are committed and visible. a is what was
// announced of them, or nil. A sink that came since gets a report.
func (s *Source) confirm(a *announced, changes []driver.Change) []driver.Receipt {
	var receipts []driver.Receipt
	if a != nil {
		for _, ann := range a.anns {
			if len(changes) == 0 {
				ann.Withdraw()
				continue
			}
			receipts = append(receipts, ann.Confirm(cloneChanges(changes)...))
		}
	}
	if len(changes) == 0 {
		return nil
	}
	for _, sink := range *s.sinks.Load() {
		if a == nil || !slices.Contains(a.sinks, sink) {
			receipts = append(receipts, sink.Report(cloneChanges(changes)...))
		}
	}
	return receipts
}

// cloneChanges returns a copy that shares no slice: each sink owns what it is
// given.
func cloneChanges(changes []driver.Change) []driver.Change {
	out := slices.Clone(changes)
	for i := range out {
		out[i].Keys = slices.Clone(out[i].Keys) // nil stays nil
	}
	return out
}

// wait waits for receipts, as long as the configuration allows.
func (s *Source) wait(ctx context.Context, receipts []driver.Receipt) {
	if s.cfg.Async || len(receipts) == 0 || s.alone.Load() && s.live.Load() == 1 {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, s.cfg.WaitTimeout)
	defer cancel()
	for _, r := range receipts {
		if err := r.Wait(bounded); err == nil || ctx.Err() != nil || bounded.Err() == nil {
			continue // it shows, the writer does not wait any longer, or the registry has been shut down
		}
		s.timeouts.Add(1)
		// The engine reads on another connection. There being none after all
		// this time, the pool most likely allows no second one.
		if s.live.Load() == 1 && !s.alone.Swap(true) {
			s.cfg.Logger.WarnContext(ctx, "sqlitesource: writes do not wait for their bindings: the pool seems to have a single connection",
				"database", s.cfg.Database)
		} else {
			s.cfg.Logger.WarnContext(ctx, "sqlitesource: a write returned before its bindings had caught up",
				"database", s.cfg.Database, "waited", s.cfg.WaitTimeout)
		}
		return
	}
}
