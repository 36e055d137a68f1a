package pgsource

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
)

// markKind is the kind of mark parts that hold a position in the log of Postgres.
// Both sources of this package understand them.
const markKind = "pg"

// identity tells one history of one database from all others.
type identity struct {
	system   uint64 // of the cluster, from initdb on, shared by its replicas
	timeline uint32 // begins anew when a replica is promoted or a backup restored
	database uint32 // its OID in the cluster
}

// identityQuery needs no rights. The timeline is in the name of the log's file; a
// server in recovery has none of its own.
const identityQuery = `SELECT (SELECT system_identifier FROM pg_control_system())::text,
	CASE WHEN pg_is_in_recovery() THEN '0' ELSE substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END,
	(SELECT oid FROM pg_database WHERE datname = current_database())::text`

// positionQuery asks for a position after the records of all earlier commits.
const positionQuery = `CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END::text`

// queryIdentity returns nil if the server does not tell: then no other node
// understands this one's marks.
func queryIdentity(ctx context.Context, conn *pgconn.PgConn) (*identity, error) {
	rows, err := query(ctx, conn, identityQuery)
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused):
		return nil, nil //nolint:nilnil // as the comment says
	case err != nil:
		return nil, fmt.Errorf("asking which database it is: %w", err)
	case len(rows) != 1 || len(rows[0]) != 3:
		return nil, fmt.Errorf("asking which database it is: %d rows", len(rows))
	}
	system, err1 := strconv.ParseInt(rows[0][0], 10, 64)
	timeline, err2 := strconv.ParseUint(rows[0][1], 16, 32)
	database, err3 := strconv.ParseUint(rows[0][2], 10, 32)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("asking which database it is: %w", err)
	}
	if timeline == 0 {
		return nil, nil //nolint:nilnil // as above
	}
	return &identity{uint64(system), uint32(timeline), uint32(database)}, nil
}

// part returns the part of a mark that names the position.
func (id *identity) part(position uint64) []byte {
	if id == nil {
		return nil
	}
	b := binary.BigEndian.AppendUint64(nil, id.system)
	b = binary.AppendUvarint(b, uint64(id.timeline))
	b = binary.AppendUvarint(b, uint64(id.database))
	return binary.AppendUvarint(b, position)
}

// position returns the position in the part. The error is [driver.ErrForeign] for a
// part of another database.
func (id *identity) position(part []byte) (uint64, error) {
	if id == nil || len(part) < 8 || binary.BigEndian.Uint64(part) != id.system {
		return 0, driver.ErrForeign
	}
	rest := part[8:]
	var numbers [3]uint64
	for i := range numbers {
		n, length := binary.Uvarint(rest)
		if length <= 0 {
			return 0, driver.ErrForeign
		}
		numbers[i], rest = n, rest[length:]
	}
	if len(rest) > 0 || numbers[0] != uint64(id.timeline) || numbers[1] != uint64(id.database) {
		return 0, driver.ErrForeign
	}
	return numbers[2], nil
}

// queryPosition asks for a position as [positionQuery] does.
func queryPosition(ctx context.Context, conn *pgconn.PgConn) (uint64, error) {
	rows, err := query(ctx, conn, "SELECT "+positionQuery)
	if err != nil {
		return 0, fmt.Errorf("asking for the position of the log: %w", err)
	}
	return parsePosition(rows[0][0])
}

func parsePosition(text string) (uint64, error) {
	position, err := pglogrepl.ParseLSN(text)
	return uint64(position), err
}

var (
	_ driver.Marker = (*Source)(nil)
	_ driver.Looker = (*Source)(nil)
	_ driver.Marker = (*TriggerSource)(nil)
	_ driver.Looker = (*TriggerSource)(nil)
)

// MarkKind implements [driver.Marker].
func (*Source) MarkKind() string { return markKind }

// Mark implements [driver.Marker]: the part is a position of the log.
func (s *Source) Mark(ctx context.Context) ([]byte, error) {
	st, err := s.streaming(ctx)
	if err != nil {
		return nil, err
	}
	if err := st.looks.Await(ctx); err != nil {
		return nil, fmt.Errorf("pgsource: %w", err)
	}
	return st.identity.part(st.written.Load()), nil
}

// Reach implements [driver.Marker].
func (s *Source) Reach(ctx context.Context, part []byte) error {
	st, err := s.streaming(ctx)
	if err != nil {
		return err
	}
	position, err := st.identity.position(part)
	if err != nil {
		return err
	}
	return st.reach(ctx, position)
}

// Look implements [driver.Looker]: it asks for the log's position, and reports
// everything up to it.
func (s *Source) Look(ctx context.Context) error {
	st, err := s.streaming(ctx)
	if err != nil {
		return err
	}
	if err := st.looks.Await(ctx); err != nil {
		return fmt.Errorf("pgsource: %w", err)
	}
	return st.reach(ctx, st.written.Load())
}

// streaming returns the stream, after the sink was told that the source watches.
func (s *Source) streaming(ctx context.Context) (*stream, error) {
	s.mu.Lock()
	st := s.current
	s.mu.Unlock()
	if st == nil {
		return nil, errNotStreaming
	}
	select {
	case <-st.watched:
		return st, nil
	case <-st.ended:
		return nil, errNotStreaming
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// reach returns when the source has reported every commit up to the position that was
// visible before the call. It returns [driver.ErrForeign] for a position beyond the
// server's own: the server has lost what was there.
func (st *stream) reach(ctx context.Context, position uint64) error {
	if st.position() < position {
		signal(st.pings) // for await, beside the question
		if st.written.Load() < position {
			if err := st.looks.Await(ctx); err != nil {
				return fmt.Errorf("pgsource: %w", err)
			}
			if st.written.Load() < position {
				return driver.ErrForeign
			}
		}
		if err := st.await(ctx, position); err != nil {
			return fmt.Errorf("pgsource: waiting for a position of the log: %w", err)
		}
	}
	if st.isIdle() {
		return nil
	}
	// Some received commits may not be visible yet, or never will be. A look at the
	// snapshot reports all that were visible before the call.
	if err := st.looks.Await(ctx); err != nil {
		return fmt.Errorf("pgsource: %w", err)
	}
	return nil
}

// isIdle reports whether every received commit has been reported.
func (st *stream) isIdle() bool {
	st.reporting.Lock()
	defer st.reporting.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.pending) == 0
}

// MarkKind implements [driver.Marker].
func (*TriggerSource) MarkKind() string { return markKind }

// Mark implements [driver.Marker]: the part is a position of the log, which [Source]
// understands too.
func (s *TriggerSource) Mark(ctx context.Context) ([]byte, error) {
	se, err := s.reading(ctx)
	if err != nil {
		return nil, err
	}
	position, err := se.position(ctx)
	if err != nil {
		return nil, err
	}
	return se.identity.part(position), nil
}

// Reach implements [driver.Marker]. It compares the position with the server's own,
// and reads the outbox, which has the records of all earlier commits.
func (s *TriggerSource) Reach(ctx context.Context, part []byte) error {
	se, err := s.reading(ctx)
	if err != nil {
		return err
	}
	wanted, err := se.identity.position(part)
	if err != nil {
		return err
	}
	now, err := se.position(ctx)
	if err == nil && now < wanted {
		return driver.ErrForeign
	}
	return err
}

// Look implements [driver.Looker]: it reads the outbox.
func (s *TriggerSource) Look(ctx context.Context) error {
	se, err := s.reading(ctx)
	if err != nil {
		return err
	}
	return se.catchUp(ctx)
}

// reading returns the session, after the sink was told that the source watches.
func (s *TriggerSource) reading(ctx context.Context) (*outboxSession, error) {
	s.mu.Lock()
	se := s.current
	s.mu.Unlock()
	if se == nil {
		return nil, errNotReading
	}
	select {
	case <-se.watched:
		return se, nil
	case <-se.ended:
		return nil, errNotReading
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// position returns a position of the log that was taken after the call began. It
// returns when a later read of the outbox has been reported.
func (se *outboxSession) position(ctx context.Context) (uint64, error) {
	se.asksPosition.Store(true)
	if err := se.catchUp(ctx); err != nil {
		return 0, err
	}
	return se.written.Load(), nil
}
