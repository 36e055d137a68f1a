package pgsource

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/jackc/pgx/v5/pgconn"
)

// Outbox describes a schema with a table in which triggers record the keys of changed
// rows, for [NewTriggers]. Install and remove it only by its methods or by the
// text that [Outbox.SQL] returns. The zero value of each field means its default.
type Outbox struct {
	// Schema is the name of the schema, and of the channel of NOTIFY: letters,
	// digits and underscores, at most 40. The default is "bindery". The schema
	// holds nothing else.
	Schema string

	// Readers are the roles that [NewTriggers] connects as, if other than the
	// installing role. Install grants them the rights to read the outbox. Writers
	// need no rights on it.
	Readers []string

	// MaxKeys bounds the keys that are recorded for one statement; beyond it the
	// whole table is recorded. The default is 1,000. Row triggers do not know the
	// statement, and record every key.
	MaxKeys int

	// Retention is how long a record is kept after its transaction has ended. A
	// source that has not read for longer notices that, and reports whole tables.
	// The default is ten minutes. Beyond 100,000 records, old ones are deleted
	// sooner.
	Retention time.Duration

	// Silent keeps the triggers from notifying: sources then read the outbox only
	// at their PollInterval, and when a batch is read. Without it, all writing
	// transactions on the server commit one after the other, and cannot PREPARE
	// TRANSACTION, because they notify.
	Silent bool

	// RowTriggers installs row triggers instead of statement triggers. Tables that
	// logical replication writes to need them, because it fires no others.
	RowTriggers bool

	// LockTimeout bounds the wait for the lock on each table, because all writers
	// to the table queue behind it. The default is three seconds.
	LockTimeout time.Duration
}

const (
	outboxVersion      = 1
	defaultSchema      = "bindery"
	defaultOutboxKeys  = 1000
	defaultRetention   = 10 * time.Minute
	defaultLockTimeout = 3 * time.Second

	// outboxCredit is how many records triggers make while nobody reads.
	outboxCredit = 100_000
	// tidyRows is how many records are deleted at once.
	tidyRows = 10_000
)

//go:embed outbox.sql
var outboxScript string

var outboxSchemaName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,39}$`)

// WithDefaults returns a copy in which every zero field has its default.
func (o Outbox) WithDefaults() Outbox {
	if o.Schema == "" {
		o.Schema = defaultSchema
	}
	if o.MaxKeys == 0 {
		o.MaxKeys = defaultOutboxKeys
	}
	setDuration(&o.Retention, defaultRetention)
	setDuration(&o.LockTimeout, defaultLockTimeout)
	return o
}

// Validate returns all mistakes in the fields.
func (o Outbox) Validate() error {
	o = o.WithDefaults()
	errs := []error{checkOutboxSchema(o.Schema)}
	for i, r := range o.Readers {
		if r == "" {
			errs = append(errs, fmt.Errorf("outbox: Readers[%d] is empty", i))
		}
	}
	if o.MaxKeys < 0 {
		errs = append(errs, fmt.Errorf("outbox: MaxKeys %d is negative", o.MaxKeys))
	}
	if o.Retention < time.Second {
		errs = append(errs, fmt.Errorf("outbox: Retention %v is less than a second", o.Retention))
	}
	if o.LockTimeout < time.Millisecond {
		errs = append(errs, fmt.Errorf("outbox: LockTimeout %v is less than a millisecond", o.LockTimeout))
	}
	return errors.Join(errs...)
}

func checkOutboxSchema(name string) error {
	if !outboxSchemaName.MatchString(name) || name == "public" || strings.HasPrefix(strings.ToLower(name), "pg_") {
		return fmt.Errorf("outbox: Schema %q is not a name for a schema of its own (letters, digits and underscores, at most 40)", name)
	}
	return nil
}

// SQL returns the statements by which [Outbox.Install] installs the outbox and
// its triggers on the tables, for use in a migration. Run them in one transaction.
// Running them again is harmless: they neither change nor lock tables that are set
// up already.
//
// The function watch adds a table; it takes the key columns too if they are not the
// primary key. The function unwatch removes one:
//
//	SELECT bindery.watch('products');
//	SELECT bindery.watch('public.log', key_columns => '{day,nr}', for_each_row => true);
func (o Outbox) SQL(tables ...driver.Table) (string, error) {
	o = o.WithDefaults()
	if err := o.Validate(); err != nil {
		return "", fmt.Errorf("pgsource: %w", err)
	}
	schema := quoteIdent(o.Schema)
	var b strings.Builder
	b.WriteString(strings.NewReplacer(
		"{{schema}}", schema, "{{name}}", o.Schema,
		"{{version}}", strconv.Itoa(outboxVersion),
		"{{max_keys}}", strconv.Itoa(o.MaxKeys),
		"{{retention}}", strconv.FormatInt(o.Retention.Milliseconds(), 10)+" milliseconds",
		"{{silent}}", strconv.FormatBool(o.Silent),
		"{{credit}}", strconv.Itoa(outboxCredit),
		"{{tidy}}", strconv.Itoa(tidyRows),
	).Replace(outboxScript))
	for _, r := range o.Readers {
		role := quoteIdent(r)
		fmt.Fprintf(&b, "\nGRANT USAGE ON SCHEMA %s TO %s;\n", schema, role)
		fmt.Fprintf(&b, "GRANT SELECT ON %[1]s.settings, %[1]s.captures, %[1]s.outbox TO %[2]s;\n", schema, role)
		fmt.Fprintf(&b, "GRANT EXECUTE ON FUNCTION %[1]s.gauge(), %[1]s.attend(), %[1]s.tidy(), %[1]s.faults(integer) TO %[2]s;\n", schema, role)
	}
	b.WriteString("\n")
	for _, t := range tables {
		rows := ""
		if o.RowTriggers {
			rows = ", for_each_row => true"
		}
		fmt.Fprintf(&b, "SELECT %s.watch(%s%s);\n", schema, quoteLiteral(tableSQL(t)), rows)
	}
	return b.String(), nil
}

// Install installs or updates the outbox and its triggers on the tables, in one
// transaction. dsn names the tables' database, and a role that may create the schema
// and owns the tables (or is a member of roles that do). Tables that were installed
// before stay installed. Install ignores Database, and looks for a table without
// Schema in the search_path.
//
// It may run while others write, and while sources read. If it changes a table's
// triggers, it locks the table for writers; see LockTimeout.
func (o Outbox) Install(ctx context.Context, dsn string, tables ...driver.Table) error {
	o = o.WithDefaults()
	script, err := o.SQL(tables...)
	if err != nil {
		return err
	}
	if err := o.run(ctx, dsn, script); err != nil {
		return fmt.Errorf("pgsource: installing the outbox %q: %w", o.Schema, err)
	}
	return nil
}

// Unwatch removes the triggers from the tables, in one transaction. Sources that
// watch one of them are then lost. A table that is not installed, or does not
// exist, is no error.
func (o Outbox) Unwatch(ctx context.Context, dsn string, tables ...driver.Table) error {
	return o.remove(ctx, dsn, func(schema string) string {
		var b strings.Builder
		for _, t := range tables {
			fmt.Fprintf(&b, "PERFORM %s.unwatch(to_regclass(%s));\n", schema, quoteLiteral(tableSQL(t)))
		}
		return b.String()
	})
}

// Uninstall removes the schema and the triggers of all tables, in one transaction. It
// fails if the schema holds objects of others. Sources that read the outbox are then
// lost. It is no error if there is no outbox.
func (o Outbox) Uninstall(ctx context.Context, dsn string) error {
	return o.remove(ctx, dsn, func(schema string) string {
		return fmt.Sprintf(`PERFORM %[1]s.unwatch(relation) FROM %[1]s.captures;
DROP FUNCTION %[1]s.watch, %[1]s.unwatch, %[1]s.faults, %[1]s.tidy, %[1]s.attend, %[1]s.gauge;
DROP TABLE %[1]s.settings, %[1]s.captures, %[1]s.outbox, %[1]s.epochs;
DROP SEQUENCE %[1]s.credit, %[1]s.lapses;
DROP SCHEMA %[1]s;
`, schema)
	})
}

// remove runs PL/pgSQL statements, if there is an outbox. statements gets the quoted
// name of its schema.
func (o Outbox) remove(ctx context.Context, dsn string, statements func(schema string) string) error {
	o = o.WithDefaults()
	if err := o.Validate(); err != nil {
		return fmt.Errorf("pgsource: %w", err)
	}
	schema := quoteIdent(o.Schema)
	block := fmt.Sprintf("BEGIN\nIF to_regclass(%s) IS NOT NULL THEN\n%sEND IF;\nEND", quoteLiteral(schema+".captures"), statements(schema))
	if err := o.run(ctx, dsn, "DO "+quoteLiteral(block)); err != nil {
		return fmt.Errorf("pgsource: removing from the outbox %q: %w", o.Schema, err)
	}
	return nil
}

// run runs statements in one transaction.
func (o Outbox) run(ctx context.Context, dsn, statements string) error {
	conn, err := connect(ctx, dsn, false)
	if err != nil {
		return err
	}
	defer closeConn(conn) // rolls back an open transaction
	if v := serverVersion(conn); v < oldest {
		return fmt.Errorf("the server is Postgres %d: %d is the oldest that will do", v, oldest)
	}
	err = exec(ctx, conn, fmt.Sprintf("BEGIN; SET LOCAL lock_timeout = %d; SET LOCAL client_min_messages = warning;\n%s;\nCOMMIT",
		o.LockTimeout.Milliseconds(), statements))
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == codeLockNotAvailable {
		return fmt.Errorf("a table stayed locked for %v, by a transaction that is open, and nothing was changed (%s): %w", o.LockTimeout, pg.Where, err)
	}
	return err
}

const codeLockNotAvailable = "55P03"

// tableSQL returns the table's name as SQL.
func tableSQL(t driver.Table) string {
	if t.Schema == "" {
		return quoteIdent(t.Name)
	}
	return quoteIdent(t.Schema) + "." + quoteIdent(t.Name)
}
