package pgsource

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/binderyhq/bindery/core"
)

// oldest is the first server version with publish_via_partition_root.
const oldest = 13

// checkServer finds out whether the server can be followed at all.
func checkServer(ctx context.Context, conn *pgconn.PgConn) error {
	rows, err := query(ctx, conn, `SELECT current_setting('wal_level'), pg_is_in_recovery()::text,
		(current_setting('server_version_num')::int / 10000)::text, (current_setting('server_version_num')::int >= $1::int * 10000)::text`,
		fmt.Sprint(oldest))
	switch {
	case err != nil:
		return err
	case rows[0][3] != "true":
		return fmt.Errorf("the server is Postgres %s: %d is the oldest that will do", rows[0][2], oldest)
	case rows[0][1] == "true":
		return errors.New("the server is a standby: connect to the primary")
	case rows[0][0] != "logical":
		return fmt.Errorf("the server's wal_level is %s; mend it with: ALTER SYSTEM SET wal_level = logical, and a restart of the server", rows[0][0])
	}
	return nil
}

// prepare looks the tables up, and has the publication publish them. Its error
// names every table that cannot be watched, and what mends it.
func (s *Source) prepare(ctx context.Context, conn *pgconn.PgConn, schemas []core.Schema) ([]*bound, error) {
	if err := s.ensurePublication(ctx, conn); err != nil {
		return nil, err
	}
	var all []*bound
	var errs []error
	for _, schema := range schemas {
		b, err := s.prepareTable(ctx, conn, schema)
		if err != nil {
			errs = append(errs, fmt.Errorf("table %q: %w", schema.Table, err))
			continue
		}
		all = append(all, b)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	// Adding a table may have been what made others visible through it.
	return all, s.checkPublication(ctx, conn, all)
}

func (s *Source) prepareTable(ctx context.Context, conn *pgconn.PgConn, schema core.Schema) (*bound, error) {
	b, err := lookUp(ctx, conn, schema, s.cfg.Publication)
	if err != nil {
		return nil, err
	}
	if err := b.checkIdentity(); err != nil {
		return nil, err
	}
	missing := b.unlisted()
	if len(missing) == 0 {
		return b, nil
	}
	if err := s.change(ctx, conn, "ALTER PUBLICATION "+quoteIdent(s.cfg.Publication)+" ADD TABLE "+strings.Join(missing, ", ")); err != nil {
		return nil, err
	}
	b, err = lookUp(ctx, conn, schema, s.cfg.Publication)
	if err != nil {
		return nil, err
	}
	b.added = true
	if len(b.unlisted()) > 0 {
		return nil, fmt.Errorf("publication %q does not publish %s", s.cfg.Publication, strings.Join(b.unlisted(), ", "))
	}
	return b, nil
}

// change runs a statement on the publication, if that is allowed. Another
// process may have run the same meanwhile.
func (s *Source) change(ctx context.Context, conn *pgconn.PgConn, statement string) error {
	if s.cfg.FixedPublication {
		return fmt.Errorf("publication %q lacks it; mend it with: %s", s.cfg.Publication, statement)
	}
	err := exec(ctx, conn, statement)
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case codeDuplicateObject, codeUniqueViolation:
			return nil
		case codeInsufficientPrivilege:
			return fmt.Errorf("the role may not run what is needed (%w); let the owner run: %s", err, statement)
		}
	}
	return err
}

const (
	codeDuplicateObject       = "42710"
	codeUniqueViolation       = "23505" // two that create the same at the same moment
	codeInsufficientPrivilege = "42501"
)

func (s *Source) ensurePublication(ctx context.Context, conn *pgconn.PgConn) error {
	rows, err := query(ctx, conn, "SELECT 1 FROM pg_publication WHERE pubname = $1", s.cfg.Publication)
	if err != nil || len(rows) > 0 {
		return err
	}
	err = s.change(ctx, conn, "CREATE PUBLICATION "+quoteIdent(s.cfg.Publication)+" WITH (publish_via_partition_root = true)")
	if err != nil {
		return fmt.Errorf("publication %q does not exist: %w", s.cfg.Publication, err)
	}
	return nil
}

// checkPublication finds out whether the publication leaves anything out.
func (s *Source) checkPublication(ctx context.Context, conn *pgconn.PgConn, all []*bound) error {
	alter := "; mend it with: ALTER PUBLICATION " + quoteIdent(s.cfg.Publication) + " "
	rows, err := query(ctx, conn, `SELECT (pubinsert AND pubupdate AND pubdelete AND pubtruncate)::text, pubviaroot::text
		FROM pg_publication WHERE pubname = $1`, s.cfg.Publication)
	switch {
	case err != nil:
		return err
	case len(rows) == 0:
		return fmt.Errorf("publication %q was dropped", s.cfg.Publication)
	case rows[0][0] != "true":
		return fmt.Errorf("publication %q does not publish every kind of change%sSET (publish = 'insert, update, delete, truncate')", s.cfg.Publication, alter)
	}
	viaRoot := rows[0][1] == "true"
	for _, b := range all {
		if b.partitioned() && !viaRoot {
			// Partitions that are made later would report under names that
			// nobody knows.
			return fmt.Errorf("table %q is partitioned, and publication %q tells of partitions only%sSET (publish_via_partition_root = true)",
				b.table, s.cfg.Publication, alter)
		}
	}
	// By way of JSON, since the column came with Postgres 15.
	filtered, err := query(ctx, conn, `SELECT c.oid::text, format('%I.%I', t.schemaname, t.tablename)
		FROM pg_publication_tables t JOIN pg_namespace n ON n.nspname = t.schemaname
		JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
		WHERE t.pubname = $1 AND to_json(t)->>'rowfilter' IS NOT NULL`, s.cfg.Publication)
	if err != nil {
		return err
	}
	for _, row := range filtered {
		for _, b := range all {
			for i := range b.relations {
				if b.relations[i].OID == row[0] {
					return fmt.Errorf("table %q: publication %q leaves rows out by a filter%sDROP TABLE %s, and again ADD TABLE %[4]s without WHERE",
						b.table, s.cfg.Publication, alter, row[1])
				}
			}
		}
	}
	return nil
}
