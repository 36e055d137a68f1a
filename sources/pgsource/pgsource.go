package pgsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/jackc/pgx/v5/pgconn"
)

// Source reports commits from the log of a Postgres server. Its methods may be called
// from any goroutine.
type Source struct {
	dsn   string
	cfg   Config
	extra bool // more than one configuration is given

	mu      sync.Mutex // guards what follows
	current *stream    // nil while changes do not stream
}

var (
	_ driver.Source    = (*Source)(nil)
	_ driver.Scoper    = (*Source)(nil)
	_ driver.Validator = (*Source)(nil)
	_ driver.Follower  = (*Source)(nil)
)

// New returns a source that follows the database of dsn by logical replication. dsn
// has any form that pgx reads. It must name the database that the bindings read,
// without a pooler in between, and its search_path must find the same tables. New takes
// at most one configuration; without one everything has its default.
//
// New does no input or output. [Source.Validate] reports mistakes in its arguments.
func New(dsn string, cfg ...Config) *Source {
	s := &Source{dsn: dsn}
	s.extra = len(cfg) > 1
	if len(cfg) > 0 {
		s.cfg = cfg[0]
	}
	s.cfg = s.cfg.WithDefaults()
	s.cfg.Tables = tablesIn(s.cfg.Database, s.cfg.Tables)
	return s
}

// Validate implements [driver.Validator]. It returns all mistakes in the source's DSN
// and configuration.
func (s *Source) Validate() error {
	return checkSetup("pgsource: setting up", s.dsn, s.extra, s.cfg.Validate())
}

// checkSetup joins the mistakes in a source's configuration and its DSN.
func checkSetup(doing, dsn string, extra bool, cfg error) error {
	if extra {
		cfg = errors.Join(cfg, errors.New("more than one configuration is given"))
	}
	_, err := pgconn.ParseConfig(dsn) // its error does not show the password
	if err := errors.Join(cfg, err); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// Name implements [driver.Source].
func (*Source) Name() string { return "pgsource" }

// Scope implements [driver.Scoper].
func (s *Source) Scope() driver.Scope {
	return driver.Scope{Database: s.cfg.Database, Tables: s.cfg.Tables}
}

// Watch implements [driver.Source]. It follows the log through one connection
// until that fails. The registry then calls it again, and reads all tables in full
// because of the gap.
func (s *Source) Watch(ctx context.Context, sink driver.Sink) error {
	if err := s.Validate(); err != nil {
		return driver.Permanent(err)
	}
	err := s.follow(ctx, sink)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("pgsource: following publication %q: %w", s.cfg.Publication, err)
}

var errNotStreaming = errors.New("pgsource: catching up: changes do not stream")

// CatchUp implements [driver.Follower]: it returns when every commit that the
// snapshot shows has been reported.
func (s *Source) CatchUp(ctx context.Context, snapshot driver.Snapshot) error {
	s.mu.Lock()
	st := s.current
	s.mu.Unlock()
	if st == nil {
		return errNotStreaming
	}
	if err := st.catchUp(ctx, snapshot); err != nil {
		return fmt.Errorf("pgsource: catching up: %w", err)
	}
	return nil
}

func (s *Source) setCurrent(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = st
}

// tablesIn returns a copy of the tables, with an empty Database replaced by database.
func tablesIn(database string, tables []driver.Table) []driver.Table {
	tables = slices.Clone(tables)
	for i := range tables {
		if tables[i].Database == "" {
			tables[i].Database = database
		}
	}
	return tables
}
