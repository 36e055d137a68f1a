package engine

import (
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/status"
)

// Register makes the engine know its sources. It is called once, before any of them
// is run; see sourceRun.run.
func (e *Engine) Register(sources []driver.Source) []*Source {
	runs := make([]*Source, len(sources))
	for i, s := range sources {
		runs[i] = newSourceRun(e, s)
	}
	e.sources.Store(&runs)
	return runs
}

// Sources returns the sources.
func (e *Engine) Sources() []*Source {
	if runs := e.sources.Load(); runs != nil {
		return *runs
	}
	return nil
}

// Launch has the source watch, until the engine stops.
func (e *Engine) Launch(r *Source) { go r.run(e.ctx) }

// watched reports whether every source that covers one of the tables that the
// feed of table t hears of is watching (or none covers any), since when that is
// so or is not, and if not, why.
func (e *Engine) watched(t driver.Table) (ok bool, since time.Time, why error) {
	hears := e.routes.Load().hears(t)
	ok = true
	for _, s := range e.Sources() {
		if !s.coversAny(hears) {
			continue
		}
		watching, at, err := s.state()
		switch {
		case !watching && ok:
			ok, since, why = false, at, err
		case watching && ok && at.After(since):
			since = at
		case !watching && at.Before(since): // the oldest cause is the one that goes on
			since, why = at, err
		}
	}
	return ok, since, why
}

// following returns the sources that follow the log of the table's database, see what
// concerns the feed of table t, and are watching. A feed whose every read is of
// everything need not catch up with any: it never reads a part of a commit.
func (e *Engine) following(t driver.Table) []driver.Follower {
	to := e.routes.Load().feeds[t]
	if to == nil || to.mode.Derived {
		return nil
	}
	var fs []driver.Follower
	for _, s := range e.Sources() {
		follows := s.follower()
		if follows == nil || !s.coversAny(to.hears) {
			continue
		}
		if watching, _, _ := s.state(); watching {
			fs = append(fs, follows)
		}
	}
	return fs
}

// heard describes the tables whose changes concern any feed. The channel is closed
// when they change.
func (e *Engine) heard() ([]driver.Schema, <-chan struct{}) {
	e.mu.Lock()
	changed, r := e.changed, e.routes.Load()
	e.mu.Unlock()
	return r.schemas(), changed
}

// SourcesOf returns what is known about the sources that watch one of the tables.
func (e *Engine) SourcesOf(tables []driver.Table) (out []status.Source) {
	for _, s := range e.Sources() {
		if s.coversAny(tables) {
			out = append(out, s.status())
		}
	}
	return out
}

// Status returns what is known about all sources.
func (e *Engine) Status() (out []status.Source) {
	for _, s := range e.Sources() {
		out = append(out, s.status())
	}
	return out
}
