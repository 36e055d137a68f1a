package pgsource

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/binderyhq/bindery/core/driver"
)

// TriggerSource reports the changes that triggers have recorded in an outbox. Its
// methods may be called from any goroutine.
type TriggerSource struct {
	dsn   string
	cfg   TriggerConfig
	extra bool // more than one configuration is given

	mu      sync.Mutex     // guards what follows
	current *outboxSession // nil while no session reads the outbox
}

var (
	_ driver.Source    = (*TriggerSource)(nil)
	_ driver.Scoper    = (*TriggerSource)(nil)
	_ driver.Validator = (*TriggerSource)(nil)
	_ driver.Follower  = (*TriggerSource)(nil)
)

// NewTriggers returns a source that reads the changes that triggers record in the
// database of dsn. It works with any wal_level, but needs an installed [Outbox]. dsn
// has any form that pgx reads. It must name the database that the bindings read, and
// its search_path must find the same tables. NewTriggers takes at most one
// configuration; without one everything has its default.
//
// NewTriggers does no input or output. [TriggerSource.Validate] reports mistakes in
// its arguments.
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

// Validate implements [driver.Validator]. It returns all mistakes in the source's DSN
// and configuration.
func (s *TriggerSource) Validate() error {
	return checkSetup("pgsource: setting up triggers", s.dsn, s.extra, s.cfg.Validate())
}

// Name implements [driver.Source].
func (*TriggerSource) Name() string { return "pgsource.triggers" }

// Scope implements [driver.Scoper].
func (s *TriggerSource) Scope() driver.Scope {
	return driver.Scope{Database: s.cfg.Database, Tables: s.cfg.Tables}
}

// Watch implements [driver.Source]. It reads the outbox until something fails. The
// registry then calls it again, and reads all tables in full because of the gap.
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

// CatchUp implements [driver.Follower]: it returns when every commit that the
// snapshot shows has been reported. A record is in the same transaction as its
// change, so one more read of the outbox suffices; CatchUp does not use the snapshot.
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
