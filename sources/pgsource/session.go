package pgsource

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
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
