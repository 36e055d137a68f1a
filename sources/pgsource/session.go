package pgsource

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// session follows the log through one replication connection. Four goroutines
// share it: one receives, one writes to the same connection, one asks on an
// ordinary connection which commits are visible, and one audits the tables.
// The first that fails ends all.
type session struct {
	src     *Source
	stream  *stream
	sink    driver.Sink
	log     *pgconn.PgConn // the replication connection
	asking  *pgconn.PgConn
	tables  []*bound // as last looked up; the audit's own once it runs
	known   tableSet // tables that have existed; likewise
	shapes  shapeWatch
	changed <-chan struct{} // closed when other tables are bound
}

// follow follows the log until ctx is done or something fails.
func (s *Source) follow(parent context.Context, sink driver.Sink) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	se := &session{src: s, sink: sink}
	defer se.close()
	if err := se.open(ctx); err != nil {
		return err
	}
	s.setCurrent(se.stream)
	sink.Watching()
	close(se.stream.watched)

	// Reading from the log obeys deadlines only.
	stop := context.AfterFunc(ctx, func() { _ = se.log.Conn().SetReadDeadline(time.Unix(1, 0)) })
	var group sync.WaitGroup
	for _, job := range []func(context.Context) error{se.receiveLog, se.writeStatus, se.askVisible, se.audit} {
		group.Go(func() { cancel(job(ctx)) })
	}
	group.Wait()
	stop()
	err := context.Cause(ctx)
	s.setCurrent(nil)
	close(se.stream.ended)
	se.stream.looks.Leave()
	if parent.Err() == nil {
		surrender(parent, sink)
	}
	return err
}

// surrenderWait bounds how long a session that failed waits for the bindings.
const surrenderWait = 250 * time.Millisecond

// surrender has all tables read in full before Watch reports the failure: a read of
// single keys would show parts of transactions whose other keys have not been
// received.
func surrender(ctx context.Context, sink driver.Sink) {
	ctx, cancel := context.WithTimeout(ctx, surrenderWait)
	defer cancel()
	schemas, _ := sink.Tables()
	var list []driver.Change
	for i := range schemas {
		list = append(list, driver.Change{Table: schemas[i].Table})
	}
	if len(list) > 0 {
		_ = sink.Report(list...).Wait(ctx) // after an error they are read later
	}
}

func (se *session) close() {
	for _, conn := range []*pgconn.PgConn{se.log, se.asking} {
		if conn != nil {
			closeConn(conn)
		}
	}
}

// open prepares the tables and starts the stream.
func (se *session) open(ctx context.Context) error {
	starting, cancel := context.WithTimeout(ctx, se.src.cfg.StartTimeout)
	defer cancel()
	var schemas []driver.Schema
	schemas, se.changed = se.sink.Tables()
	var err error
	if se.asking, err = connect(starting, se.src.dsn, false); err != nil {
		return err
	}
	if err := checkServer(starting, se.asking); err != nil {
		return err
	}
	// Before any binding reads: any later ALTER changes the shape.
	if err := se.shapes.begin(starting, se.asking, schemas); err != nil {
		return err
	}
	if se.tables, err = se.src.prepare(starting, se.asking, schemas, nil); err != nil {
		return err
	}
	se.known.add(tablesOf(se.tables)...)
	if se.log, err = connect(starting, se.src.dsn, true); err != nil {
		return err
	}
	start, err := se.createSlot(starting)
	if err != nil {
		if starting.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("no replication slot within %v: the server waits for the end of transactions that were writing, "+
				"see pg_stat_activity", se.src.cfg.StartTimeout)
		}
		return err
	}
	se.stream = newStream(se.sink, se.src.cfg.MaxKeys, uint64(start))
	if se.stream.identity, err = queryIdentity(starting, se.asking); err != nil {
		return err
	}
	se.stream.routes.Store(newRoutes(se.tables, 0))
	// A transaction whose commit was logged before the slot's position is not
	// streamed; but it need not be visible yet to the reads that begin now.
	s, err := queryRunning(starting, se.asking)
	if err != nil {
		return err
	}
	se.stream.settle(&s, tablesOf(se.tables), true)
	return nil
}

// createSlot makes a slot that lives as long as the connection, and starts to
// stream from it. It returns the position from which on commits are streamed.
func (se *session) createSlot(ctx context.Context) (pglogrepl.LSN, error) {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	slot, err := pglogrepl.CreateReplicationSlot(ctx, se.log, "bindery_"+hex.EncodeToString(id[:]), "pgoutput",
		pglogrepl.CreateReplicationSlotOptions{Temporary: true, SnapshotAction: "NOEXPORT_SNAPSHOT", Mode: pglogrepl.LogicalReplication})
	if err != nil {
		return 0, fmt.Errorf("creating a replication slot: %w", err)
	}
	start, err := pglogrepl.ParseLSN(slot.ConsistentPoint)
	if err != nil {
		return 0, fmt.Errorf("creating a replication slot: %w", err)
	}
	err = pglogrepl.StartReplication(ctx, se.log, slot.SlotName, 0, pglogrepl.StartReplicationOptions{
		Mode:       pglogrepl.LogicalReplication,
		PluginArgs: []string{"proto_version '1'", "publication_names " + quoteLiteral(quoteIdent(se.src.cfg.Publication))},
	})
	if err != nil {
		return 0, fmt.Errorf("starting the replication: %w", err)
	}
	return start, nil
}

// receiveLog receives the log.
func (se *session) receiveLog(ctx context.Context) error {
	g := gatherer{routes: &se.stream.routes, maxKeys: se.src.cfg.MaxKeys, ask: se.stream.ask}
	for {
		_ = se.log.Conn().SetReadDeadline(time.Now().Add(se.src.cfg.ReceiveTimeout))
		if ctx.Err() != nil {
			return nil // even if another deadline has replaced the one that ends the session
		}
		msg, err := se.log.ReceiveMessage(context.Background())
		switch {
		case err != nil && ctx.Err() != nil:
			return nil
		case pgconn.Timeout(err):
			return fmt.Errorf("the server has been silent for %v", se.src.cfg.ReceiveTimeout)
		case err != nil:
			return err
		}
		switch m := msg.(type) {
		case *pgproto3.CopyData:
			if err := se.takeLog(&g, m.Data); err != nil {
				return err
			}
		case *pgproto3.ErrorResponse:
			return pgconn.ErrorResponseToPgError(m)
		case *pgproto3.CopyDone, *pgproto3.CommandComplete:
			return errors.New("the server has ended the stream")
		}
	}
}

func (se *session) takeLog(g *gatherer, data []byte) error {
	if len(data) == 0 {
		return errors.New("an empty message")
	}
	switch data[0] {
	case pglogrepl.PrimaryKeepaliveMessageByteID:
		m, err := pglogrepl.ParsePrimaryKeepaliveMessage(data[1:])
		if err != nil {
			return err
		}
		if m.ReplyRequested {
			signal(se.stream.pings)
		}
		return se.stream.receive(nil, uint64(m.ServerWALEnd))
	case pglogrepl.XLogDataByteID:
		m, err := pglogrepl.ParseXLogData(data[1:])
		if err != nil {
			return err
		}
		c, end, err := g.take(m.WALData)
		if err != nil || c == nil {
			return err
		}
		return se.stream.receive(c, end)
	}
	return nil
}

// writeStatus tells the server how far the log was received, so that it may
// discard that part, and asks it to answer. If the session ends, received but
// unreported commits are lost: the registry then reads everything again anyway.
func (se *session) writeStatus(ctx context.Context) error {
	ticker := time.NewTicker(se.src.cfg.ReceiveTimeout / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-se.stream.pings:
		}
		received := pglogrepl.LSN(se.stream.position())
		_ = se.log.Conn().SetWriteDeadline(time.Now().Add(se.src.cfg.ReceiveTimeout))
		err := pglogrepl.SendStandbyStatusUpdate(ctx, se.log, pglogrepl.StandbyStatusUpdate{
			WALWritePosition: received, // and flushed, and applied
			ReplyRequested:   true,
		})
		if err != nil {
			return fmt.Errorf("telling the server how far the log was received: %w", err)
		}
	}
}

// The waits between two checks whether a commit is visible yet. Usually it is at the
// first check.
const (
	firstLook = 500 * time.Microsecond
	lastLook  = 100 * time.Millisecond
)

// nudgeQuery writes a record that nobody reads, and flushes the log up to it.
const nudgeQuery = "SELECT pg_logical_emit_message(true, 'bindery', '')"

// askVisible reports commits as soon as they are visible.
func (se *session) askVisible(ctx context.Context) error {
	wait := firstLook
	timer := time.NewTimer(lastLook)
	timer.Stop()
	defer timer.Stop()
	// Without it, only the next commit would show that an idle connection is broken.
	idle := time.NewTicker(se.src.cfg.ReceiveTimeout)
	defer idle.Stop()
	looking := time.NewTicker(se.src.cfg.SchemaInterval)
	defer looking.Stop()
	for {
		heartbeat, asked := false, false
		select {
		case <-ctx.Done():
			return nil
		case <-se.stream.wake:
			wait = firstLook
		case <-timer.C:
			wait = min(2*wait, lastLook)
		case <-idle.C:
			heartbeat = true
		case <-looking.C:
			if err := se.ask(ctx, se.lookAtShapes); err != nil {
				return err
			}
		case <-se.stream.looks.Asked():
			asked = true
		}
		select { // one look answers both
		case <-se.stream.looks.Asked():
			asked = true
		default:
		}
		commits, nudge := se.stream.waiting()
		if nudge {
			err := se.ask(ctx, func(ctx context.Context) error { return exec(ctx, se.asking, nudgeQuery) })
			var refused *pgconn.PgError
			if err != nil && (se.asking.IsClosed() || !errors.As(err, &refused)) {
				return fmt.Errorf("having the log flushed: %w", err)
			}
		}
		if commits == 0 && !heartbeat && !asked {
			continue
		}
		look := se.stream.looks.Begin()
		var s snapshot
		err := se.ask(ctx, func(ctx context.Context) (err error) {
			if !asked {
				s, err = querySnapshot(ctx, se.asking)
				return err
			}
			var position uint64
			if s, position, err = querySnapshotAt(ctx, se.asking); err == nil {
				se.stream.written.Store(position)
			}
			return err
		})
		if err != nil {
			return err
		}
		left := se.stream.reportEnded(&s)
		if asked {
			se.stream.looks.Done(look)
		}
		if left > 0 {
			timer.Reset(wait)
		}
	}
}

func (se *session) ask(ctx context.Context, question func(context.Context) error) error {
	return ask(ctx, se.src.cfg.ReceiveTimeout, question)
}

// ask bounds a question to the server.
func ask(ctx context.Context, patience time.Duration, question func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %v", patience))
	defer cancel()
	err := question(ctx)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// audit checks the tables when further ones are bound, when the log names unknown
// ones, and at an interval: the log does not say that a table was recreated or
// removed from the publication.
func (se *session) audit(ctx context.Context) error {
	ticker := time.NewTicker(se.src.cfg.AuditInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-se.changed:
		case <-se.stream.asks:
		case <-ticker.C:
		}
		if err := se.lookAfterTables(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

func (se *session) lookAfterTables(ctx context.Context) error {
	var schemas []driver.Schema
	schemas, se.changed = se.sink.Tables()
	questions := se.stream.questions.Load()
	starting, cancel := context.WithTimeout(ctx, se.src.cfg.StartTimeout)
	defer cancel()
	// Its own connection: a change of the publication may wait for locks, and must
	// not delay reports.
	conn, err := connect(starting, se.src.dsn, false)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	tables, err := lookTwice(starting, func() ([]*bound, error) { return se.src.prepare(starting, conn, schemas, se.known) })
	if err != nil {
		return err
	}
	var fresh []*bound
	for _, b := range tables {
		at := slices.IndexFunc(se.tables, func(o *bound) bool { return o.table == b.table })
		if at < 0 || b.added || !b.same(se.tables[at]) {
			fresh = append(fresh, b)
		}
	}
	se.tables = tables
	se.known.add(tablesOf(tables)...)
	se.stream.routes.Store(newRoutes(tables, questions))
	if len(fresh) == 0 {
		return nil
	}
	// What was committed before the routes were changed is visible to the read
	// that follows, or its transaction had not ended in the snapshot.
	s, err := queryRunning(starting, conn)
	if err != nil {
		return err
	}
	list := make([]driver.Change, len(fresh))
	for i, b := range fresh {
		list[i] = driver.Change{Table: b.table}
	}
	se.stream.settle(&s, tablesOf(fresh), false)
	se.sink.Report(list...)
	return nil
}

// tableSet is a set of tables.
type tableSet map[driver.Table]bool

func (s *tableSet) add(tables ...driver.Table) {
	if *s == nil {
		*s = make(tableSet)
	}
	for _, t := range tables {
		(*s)[t] = true
	}
}

// lookTwice looks again after an error: a table may have been recreated during the
// first look.
func lookTwice[T any](ctx context.Context, look func() (T, error)) (T, error) {
	found, err := look()
	if err == nil || ctx.Err() != nil {
		return found, err
	}
	return look()
}

func tablesOf(all []*bound) []driver.Table {
	tables := make([]driver.Table, len(all))
	for i, b := range all {
		tables[i] = b.table
	}
	return tables
}
