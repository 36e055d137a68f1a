package sqlitesource

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/fanout"
	"github.com/binderyhq/bindery/sources/internal/ondemand"
	"github.com/binderyhq/bindery/sources/internal/sqlitehooks"
	"github.com/binderyhq/bindery/sources/internal/wrapdriver"
	"modernc.org/sqlite"
)

// Source reports what is written through the connections of its connector, and
// watches for what others write. Its methods may be called from any goroutine.
type Source struct {
	inner sqldriver.Connector
	cfg   Config
	extra bool // more than one configuration is given

	hub   *fanout.Hub
	looks ondemand.Looks
	hooks *sqlitehooks.Host // counts commits; see foreign.go

	live     atomic.Int64 // connections that are open
	alone    atomic.Bool  // the pool seems to have one connection only
	timeouts atomic.Uint64
}

var (
	_ driver.Source    = (*Source)(nil)
	_ driver.Scoper    = (*Source)(nil)
	_ driver.Validator = (*Source)(nil)
)

// New returns a source for the database of that data source name, in the words
// of modernc.org/sqlite. Like [sql.Open] it does not connect. At most one
// configuration is given; without one everything has its default. The error reports a name that the driver refuses.
func New(dsn string, cfg ...Config) (*Source, error) {
	inner, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("sqlitesource: opening a database: %w", err)
	}
	return Wrap(inner, cfg...), nil
}

// Wrap returns a source for the connections of a connector of modernc.org/sqlite.
// Other drivers' connections are refused when they are made.
func Wrap(inner sqldriver.Connector, cfg ...Config) *Source {
	s := &Source{inner: inner, extra: len(cfg) > 1}
	if len(cfg) > 0 {
		s.cfg = cfg[0]
	}
	s.cfg = s.cfg.WithDefaults()
	s.hub = fanout.NewHub(s.cfg.Database)
	s.hooks = &sqlitehooks.Host{
		Hub:    s.hub,
		Logger: func() *slog.Logger { return s.cfg.Logger },
		Statement: func(ctx context.Context, _ string, _ *wrapdriver.Conn) (func([]fanout.Awaited), bool) {
			return func(waits []fanout.Awaited) { s.wait(ctx, waits) }, true
		},
		Begin: func(ctx context.Context, _ *wrapdriver.Conn) (func([]fanout.Awaited), bool) {
			return func(waits []fanout.Awaited) { s.wait(ctx, waits) }, true
		},
	}
	return s
}

// Connector returns the connector whose connections are seen. Any number of
// [sql.DB] may be opened with it.
func (s *Source) Connector() sqldriver.Connector { return wrapdriver.Wrap(s.inner, observer{s}) }

// Name implements [driver.Source].
func (*Source) Name() string { return "sqlitesource" }

// Scope implements [driver.Scoper]: every table of the database.
func (s *Source) Scope() driver.Scope { return driver.Scope{Database: s.cfg.Database} }

// Validate implements [driver.Validator]: everything that is wrong with the
// configuration.
func (s *Source) Validate() error {
	if s.extra {
		return errors.Join(errors.New("sqlitesource: more than one configuration is given"), s.cfg.Validate())
	}
	return s.cfg.Validate()
}

// Timeouts returns how many writes have returned before the bindings that they
// concern had caught up.
func (s *Source) Timeouts() uint64 { return s.timeouts.Load() }

// Watch implements [driver.Source]. It returns when ctx is done; before that an
// error of [Config.Validate], which is permanent, or of opening the database.
func (s *Source) Watch(ctx context.Context, sink driver.Sink) error {
	if err := s.Validate(); err != nil {
		return driver.Permanent(err)
	}
	w := foreignWatch{source: s, sink: sink, rings: make(chan struct{}, 1)}
	defer w.close()
	if s.cfg.Interval > 0 {
		if err := w.open(ctx); err != nil {
			return err
		}
	}
	a := fanout.NewAttachment(sink)
	a.Async = s.cfg.Async
	s.hub.Attach(a)
	defer s.hub.Detach(a)
	sink.Watching()
	w.asking = s.looks.Join()
	defer w.asking.Leave()
	return w.run(ctx)
}
