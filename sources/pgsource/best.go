package pgsource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/binderyhq/bindery/core/driver"
)

// BestSource watches in the best way that server, role and tables allow. Its methods
// may be called from any goroutine.
type BestSource struct {
	dsn   string
	cfg   BestConfig
	given error // the mistakes in the configuration
	ways  []way // the best first; the last is always possible

	mu     sync.Mutex // guards what follows
	chosen driver.Source
	logged string // the choice that was logged last
}

var (
	_ driver.Source    = (*BestSource)(nil)
	_ driver.Scoper    = (*BestSource)(nil)
	_ driver.Validator = (*BestSource)(nil)
	_ driver.Chooser   = (*BestSource)(nil)
)

// NewBest returns a source that tries three ways to watch the database of dsn, the
// best first. It follows the log ([New]) if the server has one and the role may. It
// reads what triggers record ([NewTriggers]) if they are installed for every bound
// table. If neither works it uses otherwise, usually a source that polls:
//
//	pgsource.NewBest(dsn, pollsource.New(time.Second, pollsource.XMin(db, 0)))
//
// It chooses when it begins to watch, and again after each failure. While it uses a
// lesser way it checks every [BestConfig].LookInterval whether a better one has become
// possible, and switches without a gap. It logs each choice and the reason.
//
// otherwise must watch the same tables, and must not depend on the other two. NewBest
// takes at most one configuration; without one everything has its default.
//
// NewBest does no input or output. [BestSource.Validate] reports mistakes in its
// arguments.
func NewBest(dsn string, otherwise driver.Source, cfg ...BestConfig) *BestSource {
	s := &BestSource{dsn: dsn}
	if len(cfg) > 0 {
		s.cfg = cfg[0]
	}
	s.given = s.cfg.Validate()
	if len(cfg) > 1 {
		s.given = errors.Join(s.given, errors.New("more than one configuration is given"))
	}
	if otherwise == nil {
		s.given = errors.Join(s.given, errors.New("no source is given for where the log and triggers cannot be used"))
	}
	s.cfg = s.cfg.WithDefaults()
	s.cfg.Tables = tablesIn(s.cfg.Database, s.cfg.Tables)
	log, triggers := s.cfg.Log, s.cfg.Triggers
	log.Database, triggers.Database = s.cfg.Database, s.cfg.Database
	log.Tables, triggers.Tables = s.cfg.Tables, s.cfg.Tables
	s.ways = []way{
		{name: "log", source: New(dsn, log), check: s.checkLog},
		{name: "triggers", source: NewTriggers(dsn, triggers)},
		{name: "otherwise", source: otherwise},
	}
	return s
}

// Validate implements [driver.Validator]. It returns all mistakes in the source's
// configuration.
func (s *BestSource) Validate() error {
	errs := []error{checkSetup("pgsource: setting up", s.dsn, false, s.given)}
	if last := s.ways[len(s.ways)-1].source; last != nil {
		if v, ok := last.(driver.Validator); ok {
			errs = append(errs, v.Validate())
		}
	}
	return errors.Join(errs...)
}

// Name implements [driver.Source].
func (*BestSource) Name() string { return "pgsource.best" }

// Scope implements [driver.Scoper].
func (s *BestSource) Scope() driver.Scope {
	return driver.Scope{Database: s.cfg.Database, Tables: s.cfg.Tables}
}

// Chosen implements [driver.Chooser].
func (s *BestSource) Chosen() driver.Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chosen
}

// Watch implements [driver.Source]. It returns when the way in use fails; the registry
// then calls it again.
func (s *BestSource) Watch(ctx context.Context, sink driver.Sink) error {
	if err := s.Validate(); err != nil {
		return driver.Permanent(err)
	}
	r := &bestRun{src: s, sink: sink}
	err := r.run(ctx)
	s.choose(nil, "")
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// choose sets the way in use, nil for none. It logs the choice if the way or the
// reason has changed.
func (s *BestSource) choose(w *way, why string) {
	s.mu.Lock()
	if w == nil {
		s.chosen = nil
		s.mu.Unlock()
		return
	}
	text := w.name + ": " + why
	told := s.logged == text
	s.logged = text
	s.mu.Unlock()
	if !told {
		s.cfg.Logger.Info("pgsource: watching in the best way that the database allows", slog.String("id", "pgsource-way"),
			"source", w.source.Name(), "way", w.name, "why", why)
	}
	s.mu.Lock()
	s.chosen = w.source
	s.mu.Unlock()
}

// checkLog checks, without changing anything, that the server has a log and that the
// role may follow it.
func (s *BestSource) checkLog(ctx context.Context) error {
	conn, err := connect(ctx, s.dsn, false)
	if err != nil {
		return &awayError{err}
	}
	defer closeConn(conn)
	if err := checkServer(ctx, conn); err != nil {
		return err
	}
	// Amazon lends the right to members of a role of its own.
	rows, err := query(ctx, conn, `SELECT current_user, (rolsuper OR rolreplication OR EXISTS (
			SELECT FROM pg_roles m WHERE m.rolname = 'rds_replication' AND pg_has_role(m.oid, 'MEMBER')))::text
		FROM pg_roles WHERE rolname = current_user`)
	switch {
	case err != nil:
		return err
	case len(rows) != 1 || rows[0][1] != "true":
		who := "it"
		if len(rows) == 1 {
			who = rows[0][0]
		}
		return fmt.Errorf("the role lacks REPLICATION; mend it with: ALTER ROLE %s REPLICATION", quoteIdent(who))
	}
	return nil
}

// awayError says that the server does not answer, so that no way can be chosen.
type awayError struct{ error }

func (e *awayError) Unwrap() error { return e.error }
