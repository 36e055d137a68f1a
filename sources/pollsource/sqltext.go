package pollsource

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// Statements run on the *sql.DB beneath Bun, so that query hooks do not log or count
// polls, and a resolver does not send them to a replica.

// checkDB returns an error if the database does not suit the named check. Without
// dialects, any will do.
func checkDB(check string, db *bun.DB, dialects ...dialect.Name) error {
	switch {
	case db == nil:
		return fmt.Errorf("%s: the *bun.DB is nil", check)
	case len(dialects) > 0 && !slices.Contains(dialects, db.Dialect().Name()):
		names := make([]string, len(dialects))
		for i, d := range dialects {
			names[i] = d.String()
		}
		return fmt.Errorf("%s: it works with the dialects %s, not with %s", check, strings.Join(names, ", "), db.Dialect().Name())
	}
	return nil
}

// quote writes any name as an identifier.
func quote(db *bun.DB, name string) string {
	q := string(db.Dialect().IdentQuote())
	return q + strings.ReplaceAll(name, q, q+q) + q
}

// quoteTable writes the table's name as identifiers.
func quoteTable(db *bun.DB, t driver.Table) string {
	if t.Schema == "" {
		return quote(db, t.Name)
	}
	return quote(db, t.Schema) + "." + quote(db, t.Name)
}

// quoteColumns writes columns with the alias t, because SQLite reads a quoted name
// that is no column as a text.
func quoteColumns(db *bun.DB, names ...string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = "t." + quote(db, n)
	}
	return strings.Join(quoted, ", ")
}

// keyGroup is the group of a check that takes the table's name and key from
// the schema.
func keyGroup(t driver.Schema) string {
	name := tableGroup(t)
	for _, k := range t.Key {
		kind := value.KindNull
		if i := t.Column(k); i >= 0 {
			kind = t.Columns[i].Kind
		}
		name += fmt.Sprintf(" %q %s", k, kind)
	}
	return name
}

// tableGroup is the group of a check that takes the table's name alone.
func tableGroup(t driver.Schema) string {
	return fmt.Sprintf("%q.%q.%q", t.Table.Database, t.Table.Schema, t.Table.Name)
}

// readKeys runs a query whose first columns are the key of the schema. It passes each
// row to the function: the key, and the other columns, which are valid only during the
// call. known is false if the key columns' kinds cannot express the values.
func readKeys(ctx context.Context, db queryer, schema *driver.Schema, query string, args []any, others int,
	each func(key driver.Key, known bool, others []any),
) (err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	n := len(schema.Key)
	vals := make([]any, n+others)
	dest := make([]any, len(vals))
	for i := range vals {
		dest[i] = &vals[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		key, err := schema.MakeKey(vals[:n]...)
		each(key, err == nil, vals[n:])
	}
	return rows.Err()
}

// maxPrint is the length in bytes beyond which an answer is kept as its hash.
const maxPrint = 256

// printOf runs a query for one row and returns a text that identifies its answer.
func printOf(ctx context.Context, q queryer, query string) (print string, err error) {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if !rows.Next() {
		return "", rows.Err() // no row is an answer too
	}
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	vals, dest := make([]any, len(columns)), make([]any, len(columns))
	for i := range vals {
		dest[i] = &vals[i]
	}
	if err := rows.Scan(dest...); err != nil {
		return "", err
	}
	enc := []byte{1}
	for i, v := range vals {
		val, err := value.Of(v)
		if err != nil {
			return "", fmt.Errorf("column %q of the answer: %w", columns[i], err)
		}
		enc = val.AppendOrdered(enc)
	}
	if rows.Next() {
		return "", errors.New("the query returned more than one row")
	}
	if len(enc) > maxPrint {
		sum := sha256.Sum256(enc)
		enc = sum[:]
	}
	return string(enc), rows.Err()
}

// queryer is a *sql.DB or a *sql.Conn.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}
