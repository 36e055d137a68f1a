package engine

import (
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/status"
)

// Register sets the engine's sources. Call it once, before [Engine.Launch].
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

// watched reports whether all sources of the tables that concern the feed of table t are
// watching. It is true if there are none. since is the time of the last change of that, and
// why the reason if one is not watching.
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
		case !watching && at.Before(since): // the oldest failure counts
			since, why = at, err
		}
	}
	return ok, since, why
}

// following returns the watching sources that follow the database's log and cover a table
// that concerns the feed of table t. It returns none for a feed whose every read is a full
// read: such a read never shows a part of a commit.
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

// heard returns the schemas of all tables whose changes concern a feed. The channel is
// closed when these tables change.
func (e *Engine) heard() ([]driver.Schema, <-chan struct{}) {
	e.mu.Lock()
	changed, r := e.changed, e.routes.Load()
	e.mu.Unlock()
	return r.schemas(), changed
}

// SourcesOf returns the status of the sources that cover one of the tables.
func (e *Engine) SourcesOf(tables []driver.Table) (out []status.Source) {
	for _, s := range e.Sources() {
		if s.coversAny(tables) {
			out = append(out, s.status())
		}
	}
	return out
}

// Status returns the status of all sources.
func (e *Engine) Status() (out []status.Source) {
	for _, s := range e.Sources() {
		out = append(out, s.status())
	}
	return out
}
