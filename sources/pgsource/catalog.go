package pgsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/jackc/pgx/v5/pgconn"
)

// relation is one table of the catalog that is, or belongs to, a bound table.
type relation struct {
	OID       string   `json:"oid"`
	Schema    string   `json:"schema"`
	Name      string   `json:"name"`
	Kind      string   `json:"kind"`      // pg_class.relkind
	Partition bool     `json:"partition"` // of another table
	Unlogged  bool     `json:"unlogged"`
	Identity  string   `json:"identity"` // pg_class.relreplident
	Columns   []string `json:"columns"`  // of the identity, if it has an index
	Primary   []string `json:"primary"`  // the primary key
	Listed    bool     `json:"listed"`   // the publication has it, or a table that it is a partition of
}

func (r *relation) sql() string { return quoteIdent(r.Schema) + "." + quoteIdent(r.Name) }

// bound is a bound table in the catalog. Its relations are those whose changes concern
// it: itself first, then its partitions and children.
type bound struct {
	table     driver.Table
	key       []string
	relations []relation
	added     bool // lookUp found it unpublished
}

// relationsQuery takes the table's oid and the publication; the verb is for
// publications of whole schemas.
const relationsQuery = `
WITH RECURSIVE below(oid) AS (
	SELECT $1::oid
	UNION SELECT i.inhrelid FROM pg_inherits i JOIN below ON i.inhparent = below.oid),
publication AS (
	SELECT * FROM pg_publication WHERE pubname = $2)
SELECT json_build_object(
	'oid', c.oid::text, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
	'partition', c.relispartition, 'unlogged', c.relpersistence <> 'p', 'identity', c.relreplident,
	'columns', (SELECT json_agg(a.attname) FROM pg_index x JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (x.indkey)
		WHERE x.indrelid = c.oid AND CASE c.relreplident WHEN 'd' THEN x.indisprimary ELSE x.indisreplident END),
	'primary', (SELECT json_agg(a.attname) FROM pg_index x JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (x.indkey)
		WHERE x.indrelid = c.oid AND x.indisprimary),
	'listed', EXISTS (SELECT FROM publication p WHERE c.relpersistence = 'p' AND (p.puballtables OR EXISTS (
		SELECT FROM pg_class m WHERE (m.oid = c.oid OR m.oid IN (SELECT relid FROM pg_partition_ancestors(c.oid))) AND (
			EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = m.oid)%s)))))::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid IN (SELECT oid FROM below)
ORDER BY c.oid <> $1::oid, c.oid`

// schemasClause is for Postgres 15 and later.
const schemasClause = ` OR EXISTS (SELECT FROM pg_publication_namespace s WHERE s.pnpubid = p.oid AND s.pnnspid = m.relnamespace)`

// lookUp finds a bound table in the catalog.
func lookUp(ctx context.Context, conn *pgconn.PgConn, s driver.Schema, publication string) (*bound, error) {
	b := &bound{table: s.Table, key: s.Key}
	oid, err := resolve(ctx, conn, s.Table)
	if err != nil {
		return nil, err
	}
	clause := ""
	if serverVersion(conn) >= 15 {
		clause = schemasClause
	}
	rows, err := query(ctx, conn, fmt.Sprintf(relationsQuery, clause), oid, publication)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		var r relation
		if err := json.Unmarshal([]byte(row[0]), &r); err != nil {
			return nil, err
		}
		b.relations = append(b.relations, r)
	}
	if len(b.relations) == 0 || b.relations[0].OID != oid {
		return nil, errors.New("it was dropped meanwhile")
	}
	return b, nil
}

// errNoTable says that a bound table does not exist, or not yet.
var errNoTable = errors.New("it does not exist")

// resolve finds the oid of a table.
func resolve(ctx context.Context, conn *pgconn.PgConn, t driver.Table) (oid string, err error) {
	found, err := query(ctx, conn, "SELECT to_regclass($1)::oid::text, current_setting('search_path')", tableSQL(t))
	switch {
	case err != nil:
		return "", err
	case found[0][0] == "" && t.Schema == "":
		return "", fmt.Errorf("%w in the schemas of search_path (%s)", errNoTable, found[0][1])
	case found[0][0] == "":
		return "", fmt.Errorf("%w, or the role may not use its schema", errNoTable)
	}
	return found[0][0], nil
}

// checkIdentity returns an error unless the log tells the key of every row that
// is updated or deleted. A table must pass before it is published: Postgres refuses
// updates of published tables without a replica identity.
func (b *bound) checkIdentity() error {
	for i := range b.relations {
		r := &b.relations[i]
		switch {
		case r.Kind == "p": // its partitions have identities
			continue
		case r.Kind != "r":
			return fmt.Errorf("%s is a %s, whose changes Postgres does not log: say which tables it is made of (core.DependsOn), or watch it with another source",
				r.sql(), kindName(r.Kind))
		case r.Unlogged:
			return fmt.Errorf("%s is not logged; mend it with: ALTER TABLE %[1]s SET LOGGED", r.sql())
		}
		mend := "ALTER TABLE " + r.sql() + " REPLICA IDENTITY FULL"
		if len(r.Primary) > 0 && contains(r.Primary, b.key) { // if bindings only depend on the table, b.key is empty
			mend = "ALTER TABLE " + r.sql() + " REPLICA IDENTITY DEFAULT"
		}
		why := ""
		switch {
		case r.Identity == "f":
			continue
		case r.Identity == "n":
			why = "its replica identity is NOTHING"
		case len(r.Columns) == 0 && r.Identity == "d":
			why = "it has no primary key, and so no replica identity"
		case len(r.Columns) == 0:
			why = "the index of its replica identity was dropped"
		case !contains(r.Columns, b.key):
			why = fmt.Sprintf("its replica identity (%s) does not hold the binding's key (%s)",
				strings.Join(r.Columns, ", "), strings.Join(b.key, ", "))
		default:
			continue
		}
		return fmt.Errorf("the log does not tell which rows of %s are updated or deleted: %s; mend it with: %s", r.sql(), why, mend)
	}
	return nil
}

// unlisted returns the tables that the publication lacks, as SQL.
func (b *bound) unlisted() []string {
	var missing []string
	for i := range b.relations {
		r := &b.relations[i]
		if r.Listed {
			continue
		}
		if i == 0 {
			return []string{r.sql()} // this publishes its partitions too
		}
		if !b.partitioned() { // partitions follow their table
			missing = append(missing, "ONLY "+r.sql())
		}
	}
	return missing
}

func (b *bound) partitioned() bool { return b.relations[0].Kind == "p" }

// partitions reports whether it has partitions, or is one.
func (b *bound) partitions() bool { return b.partitioned() || b.relations[0].Partition }

// same reports whether the log describes the table with the same key and
// relations as before.
func (b *bound) same(o *bound) bool {
	return slices.Equal(b.key, o.key) &&
		slices.EqualFunc(b.relations, o.relations, func(x, y relation) bool { return x.OID == y.OID })
}

func kindName(relkind string) string {
	switch relkind {
	case "v":
		return "view"
	case "m":
		return "materialized view"
	case "f":
		return "foreign table"
	default:
		return "relation of kind " + relkind
	}
}

// contains reports whether had contains all of the names.
func contains(had, names []string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(had, n) })
}

func quoteIdent(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quoteLiteral(text string) string { return `'` + strings.ReplaceAll(text, `'`, `''`) + `'` }
