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

// Source reports what the log of a Postgres server says was committed. Its
// methods may be called from any goroutine.
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

// New returns a source that follows the database that dsn names, in any form
// that pgx reads, by logical replication. It must be the database that the
// bindings read, and tables without a schema are found by the same search_path.
// The connection takes no pooler in between. At most one configuration is given; without one
// everything has its default.
//
// New does no input or output. What is wrong with its arguments is found by
// [Source.Validate].
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

// Validate implements [driver.Validator]. It returns everything that is wrong
// with what the source was made of.
func (s *Source) Validate() error {
	return checkSetup("pgsource: setting up", s.dsn, s.extra, s.cfg.Validate())
}

// checkSetup joins what is wrong with a source's configuration and its DSN.
func checkSetup(doing, dsn string, extra bool, cfg error) error {
	if extra {
		cfg = errors.Join(cfg, errors.New("more than one configuration is given"))
	}
	_, err := pgconn.ParseConfig(dsn) // whose error does not show the password
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
// until that fails: the registry then calls it again, and what was missed in
// between is read again.
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

// CatchUp implements [driver.Follower]: it returns when all that the snapshot
// shows has been reported.
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

// tablesIn returns a copy of the tables, in the database unless they say
// another one.
func tablesIn(database string, tables []driver.Table) []driver.Table {
	tables = slices.Clone(tables)
	for i := range tables {
		if tables[i].Database == "" {
			tables[i].Database = database
		}
	}
	return tables
}
