package sqlitesource

import (
	"context"
	sqldriver "database/sql/driver"
	"fmt"
	"log/slog"

	"github.com/binderyhq/bindery/sources/internal/fanout"
	"github.com/binderyhq/bindery/sources/internal/sqlitefile"
	"github.com/binderyhq/bindery/sources/internal/wrapdriver"
)

// observer observes the connections of the source's connector.
type observer struct{ source *Source }

// Open implements [wrapdriver.Observer].
func (o observer) Open(ctx context.Context, conn *wrapdriver.Conn, inner sqldriver.Conn) (wrapdriver.Session, error) {
	s, ok := o.source.hooks.Open(ctx, conn, inner)
	if !ok {
		return nil, fmt.Errorf("sqlitesource: connecting: a connection of type %T has no hooks: the driver is not modernc.org/sqlite", inner)
	}
	o.source.live.Add(1)
	return &session{Session: s, source: o.source}, nil
}

// Commits counts the connections' commits, so that a check can tell other processes'
// commits from these.
func (o observer) Commits() *sqlitefile.Ledger { return &o.source.hooks.Commits }

// session counts the connections that are open.
type session struct {
	wrapdriver.Session
	source *Source
}

// Closed implements [wrapdriver.Session].
func (s *session) Closed() {
	s.Session.Closed()
	s.source.live.Add(-1)
}

// Unwrap returns the driver's own connection, from what [sql.Conn.Raw] hands
// out: for a backup, for example. Anything else is returned as it is. The source may
// miss what the program does with it, so it reports every table when the connection is
// used again or given back.
func Unwrap(driverConn any) any {
	if c, ok := driverConn.(*wrapdriver.Conn); ok {
		if _, ours := c.Observer().(observer); ours {
			return c.Unwrap()
		}
	}
	return driverConn
}

// wait waits for receipts, for at most WaitTimeout.
func (s *Source) wait(ctx context.Context, waits []fanout.Awaited) {
	if len(waits) == 0 || s.alone.Load() && s.live.Load() == 1 {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, s.cfg.WaitTimeout)
	defer cancel()
	for _, w := range waits {
		if err := w.Receipt.Wait(bounded); err == nil || ctx.Err() != nil || bounded.Err() == nil {
			continue // it shows, the writer does not wait any longer, or the registry has been shut down
		}
		s.timeouts.Add(1)
		// The engine reads on another connection. If there is still none, the pool
		// most likely allows only one.
		if s.live.Load() == 1 && !s.alone.Swap(true) {
			s.cfg.Logger.WarnContext(ctx, "sqlitesource: writes do not wait for their bindings: the pool seems to have a single connection", slog.String("id", "sqlitesource-single-connection"),
				slog.String("database", s.cfg.Database))
		} else {
			s.cfg.Logger.WarnContext(ctx, "sqlitesource: a write returned before its bindings had caught up", slog.String("id", "sqlitesource-late-wait"),
				slog.String("database", s.cfg.Database), slog.Duration("waited", s.cfg.WaitTimeout))
		}
		return
	}
}
