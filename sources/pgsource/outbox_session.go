package pgsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/ondemand"
	"github.com/jackc/pgx/v5/pgconn"
)

// outboxSession reads the outbox from its opening until something fails. Three
// goroutines share it: one listens for notifications and wakes the second, which
// reads; the third audits the tables. The first that fails ends all.
type outboxSession struct {
	src       *TriggerSource
	sink      driver.Sink
	listening *pgconn.PgConn
	reader    *outboxReader   // the reading goroutine's own once it runs
	tables    []*captured     // the audit's own once it runs
	known     tableSet        // tables that have existed; likewise
	changed   <-chan struct{} // closed when other tables are bound

	routes atomic.Pointer[captureRoutes]
	wake   chan struct{} // capacity 1: there may be records, or somebody waits
	audits chan struct{} // capacity 1: the captures have changed
	ended  chan struct{} // closed when the session is over

	looks        *ondemand.Run // reads of the outbox
	identity     *identity     // nil: it is not known
	asksPosition atomic.Bool   // a caller waits for the log's position before a read
	written      atomic.Uint64 // that position
	watched      chan struct{} // closed after Sink.Watching
}

// follow reads the outbox until ctx is done or something fails.
func (s *TriggerSource) follow(parent context.Context, sink driver.Sink) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	se := &outboxSession{
		src: s, sink: sink,
		wake: make(chan struct{}, 1), audits: make(chan struct{}, 1),
		ended: make(chan struct{}), watched: make(chan struct{}), looks: ondemand.NewRun(),
	}
	defer se.close()
	if err := se.open(ctx); err != nil {
		return err
	}
	s.setCurrent(se)
	sink.Watching()
	close(se.watched)

	var group sync.WaitGroup
	for _, job := range []func(context.Context) error{se.listen, se.read, se.audit} {
		group.Go(func() { cancel(job(ctx)) })
	}
	group.Wait()
	err := context.Cause(ctx)
	s.setCurrent(nil)
	close(se.ended)
	se.looks.Leave()
	if parent.Err() == nil {
		surrender(parent, sink)
	}
	return err
}

func (se *outboxSession) close() {
	if se.listening != nil {
		closeConn(se.listening)
	}
	if se.reader != nil {
		closeConn(se.reader.conn)
	}
}

// open connects, looks the tables up, and makes the reader begin.
func (se *outboxSession) open(ctx context.Context) error {
	cfg := &se.src.cfg
	// This takes many queries, but nobody waits for them.
	return ask(ctx, max(cfg.AnswerTimeout, defaultAnswerTimeout), func(ctx context.Context) error {
		conn, err := connect(ctx, se.src.dsn, false)
		if err != nil {
			return err
		}
		se.reader = &outboxReader{conn: conn, schema: quoteIdent(cfg.Outbox), maxKeys: cfg.MaxKeys}
		if err := se.src.checkOutbox(ctx, conn); err != nil {
			return err
		}
		// The planner may lack statistics of the outbox, so force it to use the index.
		if err := exec(ctx, conn, "SET enable_seqscan = off; SET jit = off"); err != nil {
			return err
		}
		if se.listening, err = connect(ctx, se.src.dsn, false); err != nil {
			return err
		}
		if err := exec(ctx, se.listening, "LISTEN "+quoteIdent(cfg.Outbox)); err != nil {
			return err
		}
		var schemas []driver.Schema
		schemas, se.changed = se.sink.Tables()
		if se.tables, err = se.src.lookUpAll(ctx, conn, schemas, se.known); err != nil {
			return err
		}
		for _, c := range se.tables {
			se.known.add(c.table)
		}
		se.routes.Store(newCaptureRoutes(se.tables))
		if se.identity, err = queryIdentity(ctx, conn); err != nil {
			return err
		}
		return se.reader.begin(ctx)
	})
}

// listen waits for notifications. It ignores their content and sender, and does not
// rely on getting all of them.
func (se *outboxSession) listen(ctx context.Context) error {
	for {
		waiting, cancel := context.WithTimeout(ctx, se.src.cfg.AnswerTimeout)
		err := se.listening.WaitForNotification(waiting)
		quiet := waiting.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			signal(se.wake)
		case quiet && !se.listening.IsClosed():
			// A broken connection would be silent for ever.
			err = ask(ctx, se.src.cfg.AnswerTimeout, func(ctx context.Context) error { return exec(ctx, se.listening, "SELECT 1") })
			if err != nil {
				return unlessDone(ctx, fmt.Errorf("listening: %w", err))
			}
			signal(se.wake) // the answer may have had notifications before it
		default:
			return fmt.Errorf("listening: %w", err)
		}
	}
}

// unlessDone returns the error, or nil if it only says that ctx is done.
func unlessDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// read reads and reports records whenever there may be some.
func (se *outboxSession) read(ctx context.Context) error {
	ticker := time.NewTicker(se.src.cfg.PollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-se.wake:
		case <-se.looks.Asked():
		case <-ticker.C:
		}
		look := se.looks.Begin()
		err := ask(ctx, se.src.cfg.AnswerTimeout, func(ctx context.Context) error { return se.readOnce(ctx) })
		if err != nil {
			return unlessDone(ctx, fmt.Errorf("reading records: %w", err))
		}
		se.looks.Done(look)
	}
}

func (se *outboxSession) readOnce(ctx context.Context) error {
	if se.asksPosition.Swap(false) {
		position, err := queryPosition(ctx, se.reader.conn)
		if err != nil {
			return err
		}
		se.written.Store(position)
	}
	all, moved, err := se.reader.read(ctx, &se.routes)
	if err != nil {
		return err
	}
	if moved {
		signal(se.audits)
	}
	schemas, _ := se.sink.Tables()
	if list := all.Report(schemas); len(list) > 0 {
		se.sink.Report(list...)
	}
	return se.reader.attend(ctx)
}

// catchUp returns when a read that began after the call has been reported.
func (se *outboxSession) catchUp(ctx context.Context) error {
	err := se.looks.Await(ctx)
	if errors.Is(err, ondemand.ErrNotWatching) {
		return errEnded
	}
	return err
}

// audit checks the tables when further ones are bound or captured, and at an
// interval: Postgres does not notify when a table is recreated or a trigger is
// disabled. It also has old records deleted.
func (se *outboxSession) audit(ctx context.Context) error {
	ticker := time.NewTicker(se.src.cfg.AuditInterval)
	defer ticker.Stop()
	for {
		tidy := false
		select {
		case <-ctx.Done():
			return nil
		case <-se.changed:
		case <-se.audits:
		case <-ticker.C:
			tidy = true
		}
		if err := se.lookAfterTables(ctx, tidy); err != nil {
			return unlessDone(ctx, err)
		}
	}
}

func (se *outboxSession) lookAfterTables(ctx context.Context, tidy bool) error {
	patience := se.src.cfg.AnswerTimeout
	// Its own connection, so that reports need not wait.
	var conn *pgconn.PgConn
	err := ask(ctx, patience, func(ctx context.Context) (err error) {
		conn, err = connect(ctx, se.src.dsn, false)
		return err
	})
	if err != nil {
		return err
	}
	defer closeConn(conn)
	var schemas []driver.Schema
	schemas, se.changed = se.sink.Tables()
	var tables []*captured
	err = ask(ctx, patience, func(ctx context.Context) (err error) {
		if err = se.src.checkOutbox(ctx, conn); err == nil {
			tables, err = lookTwice(ctx, func() ([]*captured, error) { return se.src.lookUpAll(ctx, conn, schemas, se.known) })
		}
		return err
	})
	if err != nil {
		return err
	}
	var fresh []driver.Change
	for _, c := range tables {
		if !slices.ContainsFunc(se.tables, c.same) {
			fresh = append(fresh, driver.Change{Table: c.table})
		}
	}
	for _, c := range se.tables { // only this reports a table that is gone
		if !slices.ContainsFunc(tables, func(o *captured) bool { return o.table == c.table }) {
			fresh = append(fresh, driver.Change{Table: c.table})
		}
	}
	se.tables = tables
	for _, c := range tables {
		se.known.add(c.table)
	}
	// If a read does not know the new routes, the report below covers its
	// transactions.
	se.routes.Store(newCaptureRoutes(tables))
	if len(fresh) > 0 {
		se.sink.Report(fresh...)
	}
	for tidy {
		err := ask(ctx, patience, func(ctx context.Context) error {
			rows, err := query(ctx, conn, "SELECT "+quoteIdent(se.src.cfg.Outbox)+".tidy()::text")
			tidy = err == nil && rows[0][0] == "true"
			return err
		})
		if err != nil {
			return fmt.Errorf("deleting old records: %w", err)
		}
	}
	return nil
}

var errNoSettings = errors.New("its settings are gone")
