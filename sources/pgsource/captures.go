package pgsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/rowlog"
	"github.com/jackc/pgx/v5/pgconn"
)

// captured is a bound table, and the capture that records its changes: its
// own, or its parent's if it is a partition or child.
type captured struct {
	table   driver.Table
	oid     string
	capture string
	// shape differs after each statement that changes rows without firing
	// triggers: one that alters the table, or attaches, detaches or drops a
	// partition or child.
	shape string
	// positions are those of the binding's key columns in the recorded keys.
	positions []int
}

func (c *captured) same(o *captured) bool {
	return c.table == o.table && c.oid == o.oid && c.capture == o.capture && c.shape == o.shape && slices.Equal(c.positions, o.positions)
}

// checkOutbox returns an error unless there is an outbox that the role may read.
func (s *TriggerSource) checkOutbox(ctx context.Context, conn *pgconn.PgConn) error {
	if v := serverVersion(conn); v < oldest {
		return fmt.Errorf("the server is Postgres %d: %d is the oldest that will do", v, oldest)
	}
	rows, err := query(ctx, conn, "SELECT pg_is_in_recovery()::text")
	switch {
	case err != nil:
		return err
	case rows[0][0] == "true":
		return errors.New("the server is a standby: connect to the primary")
	}
	rows, err = query(ctx, conn, "SELECT version::text FROM "+quoteIdent(s.cfg.Outbox)+".settings")
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && (pg.Code == codeUndefinedTable || pg.Code == codeInvalidSchema):
		return errors.New("it is not installed; mend it with: pgsource.Outbox.Install, or what pgsource.Outbox.SQL returns")
	case errors.As(err, &pg) && pg.Code == codeInsufficientPrivilege:
		return fmt.Errorf("the role may not read it (%w); mend it with: pgsource.Outbox.Install, with the role among its Readers", err)
	case err != nil:
		return err
	case len(rows) != 1 || rows[0][0] != fmt.Sprint(outboxVersion):
		return fmt.Errorf("it is of another version, %v, than this program's, %d; mend it with: pgsource.Outbox.Install", rows, outboxVersion)
	}
	return nil
}

const (
	codeUndefinedTable = "42P01"
	codeInvalidSchema  = "3F000"
)

// captureQuery takes a table's oid. A capture also records changes of its table's
// partitions and children.
const captureQuery = `
WITH RECURSIVE above(oid, distance) AS (
	SELECT $1::oid, 0
	UNION ALL SELECT i.inhparent, above.distance + 1 FROM pg_inherits i JOIN above ON i.inhrelid = above.oid),
below(oid) AS (
	SELECT $1::oid
	UNION SELECT i.inhrelid FROM pg_inherits i JOIN below ON i.inhparent = below.oid)
SELECT c.n::text, to_json(c.keys)::text, coalesce(%[1]s.faults(c.n), ''), (
	SELECT %[2]s FROM pg_class r WHERE r.oid IN (SELECT oid FROM below))
FROM above JOIN %[1]s.captures c ON c.relation = above.oid
ORDER BY above.distance, c.n LIMIT 1`

// lookUpAll finds the captures of the bound tables. Its error names every table
// that cannot be watched, and the remedy. A table that existed before may be
// missing: no binding can read it either.
func (s *TriggerSource) lookUpAll(ctx context.Context, conn *pgconn.PgConn, schemas []driver.Schema, existed tableSet) ([]*captured, error) {
	var all []*captured
	var errs []error
	for i := range schemas {
		c, err := s.lookUp(ctx, conn, &schemas[i])
		if errors.Is(err, errNoTable) && existed[schemas[i].Table] {
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("table %q: %w", schemas[i].Table, err))
			continue
		}
		all = append(all, c)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return all, nil
}

func (s *TriggerSource) lookUp(ctx context.Context, conn *pgconn.PgConn, schema *driver.Schema) (*captured, error) {
	oid, err := resolve(ctx, conn, schema.Table)
	if err != nil {
		return nil, err
	}
	outbox := quoteIdent(s.cfg.Outbox)
	rows, err := query(ctx, conn, fmt.Sprintf(captureQuery, outbox, shapeOf), oid)
	if err != nil {
		return nil, err
	}
	mend := fmt.Sprintf("mend it with: SELECT %s.watch(%s)", outbox, quoteLiteral(tableSQL(schema.Table)))
	if len(rows) == 0 {
		kinds, err := query(ctx, conn, "SELECT relkind::text FROM pg_class WHERE oid = $1::oid", oid)
		if err == nil && len(kinds) == 1 && kinds[0][0] != "r" && kinds[0][0] != "p" {
			return nil, fmt.Errorf("it is a %s, which has no changes of its own: say which tables it is made of (core.DependsOn), or watch it with another source", kindName(kinds[0][0]))
		}
		return nil, fmt.Errorf("no triggers record its changes; %s", mend)
	}
	c := &captured{table: schema.Table, oid: oid, capture: rows[0][0], shape: rows[0][3]}
	if faults := rows[0][2]; faults != "" {
		return nil, fmt.Errorf("triggers are missing or disabled on %s; %s", faults, mend)
	}
	var recorded []string
	if err := json.Unmarshal([]byte(rows[0][1]), &recorded); err != nil {
		return nil, err
	}
	for _, name := range schema.Key {
		at := slices.Index(recorded, name)
		if at < 0 {
			var key []string
			for _, k := range schema.Key {
				key = append(key, quoteLiteral(k))
			}
			return nil, fmt.Errorf("its triggers record the key (%s), and the binding's is (%s); mend it with: SELECT %s.watch(%s, ARRAY[%s])",
				strings.Join(recorded, ", "), strings.Join(schema.Key, ", "), outbox, quoteLiteral(tableSQL(schema.Table)), strings.Join(key, ", "))
		}
		c.positions = append(c.positions, at)
	}
	return c, nil
}

// captureRoutes say which bound tables a capture's records concern. They are
// immutable.
type captureRoutes struct {
	by  map[string][]*captured
	all []driver.Table
}

func newCaptureRoutes(all []*captured) *captureRoutes {
	r := &captureRoutes{by: make(map[string][]*captured)}
	for _, c := range all {
		r.by[c.capture] = append(r.by[c.capture], c)
		r.all = append(r.all, c.table)
	}
	return r
}

// add adds a record's changes: its keys in JSON, or "" for the whole table.
func (r *captureRoutes) add(all rowlog.Changes, capture string, keys []byte, limit int) error {
	targets := slices.DeleteFunc(slices.Clone(r.by[capture]), func(c *captured) bool { return all.Of(c.table).Whole() })
	if len(targets) == 0 {
		return nil
	}
	var decoded [][]*string
	if len(keys) > 0 {
		if err := json.Unmarshal(keys, &decoded); err != nil {
			return fmt.Errorf("record of capture %s: %w", capture, err)
		}
	}
	for _, c := range targets {
		set := all.Of(c.table)
		if decoded == nil {
			set.SetWhole()
			continue
		}
		var buf []byte
		for _, key := range decoded {
			buf = buf[:0]
			complete := true
			for _, at := range c.positions {
				if at >= len(key) || key[at] == nil {
					complete = false
					break
				}
				buf = rowlog.AppendPart(buf, []byte(*key[at]))
			}
			if !complete { // no row of the binding has NULL in its key
				set.SetWhole()
				break
			}
			set.Add(buf, limit)
		}
	}
	return nil
}

// setWhole adds every table as a whole.
func (r *captureRoutes) setWhole(all rowlog.Changes) {
	for _, t := range r.all {
		all.Of(t).SetWhole()
	}
}
