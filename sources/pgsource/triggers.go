package pgsource

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/binderyhq/bindery/core/driver"
)

// TriggerSource reports what triggers have recorded in an outbox. Its methods
// may be called from any goroutine.
type TriggerSource struct {
	dsn   string
	cfg   TriggerConfig
	extra bool // more than one configuration is given

	mu      sync.Mutex     // guards what follows
	current *outboxSession // nil while the outbox is not read
}

var (
	_ driver.Source    = (*TriggerSource)(nil)
	_ driver.Scoper    = (*TriggerSource)(nil)
	_ driver.Validator = (*TriggerSource)(nil)
	_ driver.Follower  = (*TriggerSource)(nil)
)

// NewTriggers returns a source that reads what triggers record of the changes in
// the database that dsn names, in any form that pgx reads. It needs no
// wal_level, but an [Outbox] that was installed before. It must be the
// database that the bindings read, and tables without a schema are found by the
// same search_path. At most one configuration is given; without
// one everything has its default.
//
// NewTriggers does no input or output. What is wrong with its arguments is found
// by [TriggerSource.Validate].
func NewTriggers(dsn string, cfg ...TriggerConfig) *TriggerSource {
	s := &TriggerSource{dsn: dsn}
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
func (s *TriggerSource) Validate() error {
	return checkSetup("pgsource: setting up triggers", s.dsn, s.extra, s.cfg.Validate())
}

// Name implements [driver.Source].
func (*TriggerSource) Name() string { return "pgsource.triggers" }

// Scope implements [driver.Scoper].
func (s *TriggerSource) Scope() driver.Scope {
	return driver.Scope{Database: s.cfg.Database, Tables: s.cfg.Tables}
}

// Watch implements [driver.Source]. It reads the outbox until something fails: the
// registry then calls it again, and what was missed in between is read again.
func (s *TriggerSource) Watch(ctx context.Context, sink driver.Sink) error {
	if err := s.Validate(); err != nil {
		return driver.Permanent(err)
	}
	err := s.follow(ctx, sink)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("pgsource: reading the outbox %q: %w", s.cfg.Outbox, err)
}

var errNotReading = errors.New("pgsource: catching up: the outbox is not being read")

// CatchUp implements [driver.Follower]: it returns when all that the snapshot
// shows has been reported. The records are of the same transactions as the
// changes, so it suffices to read the outbox once more; the snapshot is not
// questioned.
func (s *TriggerSource) CatchUp(ctx context.Context, _ driver.Snapshot) error {
	s.mu.Lock()
	se := s.current
	s.mu.Unlock()
	if se == nil {
		return errNotReading
	}
	if err := se.catchUp(ctx); err != nil {
		return fmt.Errorf("pgsource: catching up: %w", err)
	}
	return nil
}

func (s *TriggerSource) setCurrent(se *outboxSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = se
}
