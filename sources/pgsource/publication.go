package pgsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/jackc/pgx/v5/pgconn"
)

// oldest is the first server version whose publications hold partitioned tables.
const oldest = 13

// serverVersion returns the server's major version.
func serverVersion(conn *pgconn.PgConn) int {
	v := conn.ParameterStatus("server_version")
	digits := strings.IndexFunc(v, func(r rune) bool { return r < '0' || r > '9' })
	if digits < 0 {
		digits = len(v)
	}
	major, _ := strconv.Atoi(v[:digits]) // on an error 0, which is too old
	return major
}

// checkServer returns an error unless the server can be followed.
func checkServer(ctx context.Context, conn *pgconn.PgConn) error {
	if v := serverVersion(conn); v < oldest {
		return fmt.Errorf("the server is Postgres %d: %d is the oldest that will do", v, oldest)
	}
	rows, err := query(ctx, conn, "SELECT current_setting('wal_level'), pg_is_in_recovery()::text")
	switch {
	case err != nil:
		return err
	case rows[0][1] == "true":
		return errors.New("the server is a standby: connect to the primary")
	case rows[0][0] != "logical":
		return fmt.Errorf("the server's wal_level is %s; mend it with: ALTER SYSTEM SET wal_level = logical, and a restart of the server", rows[0][0])
	}
	return nil
}

// prepare looks the tables up, and adds them to the publication. Its error names every
// table that cannot be watched, and the remedy. A table that existed before may be
// missing: no binding can read it either.
func (s *Source) prepare(ctx context.Context, conn *pgconn.PgConn, schemas []driver.Schema, existed tableSet) ([]*bound, error) {
	if err := s.ensurePublication(ctx, conn); err != nil {
		return nil, err
	}
	viaRoot, err := s.checkOptions(ctx, conn)
	if err != nil {
		return nil, err
	}
	var all []*bound
	var errs []error
	for _, schema := range schemas {
		b, err := s.prepareTable(ctx, conn, schema, viaRoot)
		if errors.Is(err, errNoTable) && existed[schema.Table] {
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("table %q: %w", schema.Table, err))
			continue
		}
		all = append(all, b)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return all, s.checkFilters(ctx, conn, all)
}

func (s *Source) prepareTable(ctx context.Context, conn *pgconn.PgConn, schema driver.Schema, viaRoot bool) (*bound, error) {
	b, err := lookUp(ctx, conn, schema, s.cfg.Publication)
	if err != nil {
		return nil, err
	}
	if err := b.checkIdentity(); err != nil {
		return nil, err
	}
	if viaRoot && b.partitions() {
		// Postgres would not tell when a partition is truncated.
		return nil, fmt.Errorf("publication %q hides partitions; mend it with: %sSET (publish_via_partition_root = false)",
			s.cfg.Publication, s.alter())
	}
	missing := b.unlisted()
	if len(missing) == 0 {
		return b, nil
	}
	if err := s.change(ctx, conn, s.alter()+"ADD TABLE "+strings.Join(missing, ", ")); err != nil {
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

// change runs a statement on the publication, unless FixedPublication is set. Another
// process may have run the same statement meanwhile.
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
	codeUniqueViolation       = "23505" // two processes create the same at once
	codeInsufficientPrivilege = "42501"
)

func (s *Source) ensurePublication(ctx context.Context, conn *pgconn.PgConn) error {
	rows, err := query(ctx, conn, "SELECT 1 FROM pg_publication WHERE pubname = $1", s.cfg.Publication)
	if err != nil || len(rows) > 0 {
		return err
	}
	err = s.change(ctx, conn, "CREATE PUBLICATION "+quoteIdent(s.cfg.Publication))
	if err != nil {
		return fmt.Errorf("publication %q does not exist: %w", s.cfg.Publication, err)
	}
	return nil
}

// alter begins the statement that changes the publication.
func (s *Source) alter() string { return "ALTER PUBLICATION " + quoteIdent(s.cfg.Publication) + " " }

// checkOptions returns an error if the publication leaves out a kind of change. viaRoot
// says that it publishes changes of partitions as changes of their root.
func (s *Source) checkOptions(ctx context.Context, conn *pgconn.PgConn) (viaRoot bool, err error) {
	rows, err := query(ctx, conn, `SELECT (pubinsert AND pubupdate AND pubdelete AND pubtruncate)::text, pubviaroot::text
		FROM pg_publication WHERE pubname = $1`, s.cfg.Publication)
	switch {
	case err != nil:
		return false, err
	case len(rows) == 0:
		return false, fmt.Errorf("publication %q was dropped", s.cfg.Publication)
	case rows[0][0] != "true":
		return false, fmt.Errorf("publication %q does not publish every kind of change; mend it with: "+
			"%sSET (publish = 'insert, update, delete, truncate')", s.cfg.Publication, s.alter())
	}
	return rows[0][1] == "true", nil
}

// checkFilters returns an error if the publication leaves out rows.
func (s *Source) checkFilters(ctx context.Context, conn *pgconn.PgConn, all []*bound) error {
	// Through JSON, because the column exists only since Postgres 15.
	filtered, err := query(ctx, conn, `SELECT c.oid::text, format('%I.%I', t.schemaname, t.tablename)
		FROM pg_publication_tables t JOIN pg_namespace n ON n.nspname = t.schemaname
		JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
		WHERE t.pubname = $1 AND to_json(t)->>'rowfilter' IS NOT NULL`, s.cfg.Publication)
	if err != nil {
		return err
	}
	for _, row := range filtered {
		for _, b := range all {
			if slices.ContainsFunc(b.relations, func(r relation) bool { return r.OID == row[0] }) {
				return fmt.Errorf("table %q: publication %q leaves rows out by a filter; mend it with: %sSET TABLE %s, and all its other tables, without WHERE",
					b.table, s.cfg.Publication, s.alter(), row[1])
			}
		}
	}
	return nil
}
