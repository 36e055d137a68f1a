package main

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// ways are how applications write to a database they hold twice.
var ways = []struct {
	name  string
	write func(ctx context.Context, db *bun.DB, sqldb *sql.DB) error
}{
	{"Bun", func(ctx context.Context, db *bun.DB, _ *sql.DB) error {
		_, err := db.NewInsert().Model(ticket("x", "acme")).Exec(ctx)
		return err
	}},
	{"RunInTx", func(ctx context.Context, db *bun.DB, _ *sql.DB) error {
		return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewInsert().Model(ticket("x", "acme")).Exec(ctx)
			return err
		})
	}},
	{"a transaction with another context", func(ctx context.Context, db *bun.DB, _ *sql.DB) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(ticket("x", "acme")).Exec(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		return tx.Commit()
	}},
	{"SQL through Bun", func(ctx context.Context, db *bun.DB, _ *sql.DB) error {
		_, err := db.ExecContext(ctx, "INSERT INTO tickets (subject, customer, open, updated_at) VALUES ('x', 'acme', true, CURRENT_TIMESTAMP)")
		return err
	}},
	{"the *sql.DB", func(ctx context.Context, _ *bun.DB, sqldb *sql.DB) error {
		_, err := sqldb.ExecContext(ctx, "INSERT INTO tickets (subject, customer, open, updated_at) VALUES ('x', 'acme', true, CURRENT_TIMESTAMP)")
		return err
	}},
	{"a prepared statement", func(ctx context.Context, _ *bun.DB, sqldb *sql.DB) error {
		stmt, err := sqldb.PrepareContext(ctx, "INSERT INTO tickets (subject, customer, open, updated_at) VALUES ('x', 'acme', true, CURRENT_TIMESTAMP)")
		if err != nil {
			return err
		}
		defer func() { _ = stmt.Close() }()
		_, err = stmt.ExecContext(ctx)
		return err
	}},
}

// TestWhatIsSeen holds the table of docs/existing-app.md: which writes show by
// hooks alone, with no other source beside them.
func TestWhatIsSeen(t *testing.T) {
	t.Run("SQLite, bunsource.Open", func(t *testing.T) {
		db := openTest(t)
		seenBy(t, db, db.DB, len(ways))
	})
	t.Run("SQLite, an open *bun.DB that is not wrapped", func(t *testing.T) {
		sqldb, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "desk.sqlite")+sqliteOptions)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sqldb.Close() })
		db := bun.NewDB(sqldb, sqlitedialect.New())
		createTable(t, db)
		seenBy(t, db, sqldb, 4)
	})
	t.Run("Postgres, WrapConnector", func(t *testing.T) {
		cfg, err := pgx.ParseConfig(pgtest.Shared(t).CreateDatabase(t))
		if err != nil {
			t.Fatal(err)
		}
		sqldb, db := openBoth(*cfg)
		t.Cleanup(func() { _ = sqldb.Close() })
		createTable(t, db)
		seenBy(t, db, sqldb, len(ways))
	})
	t.Run("Postgres, OpenConnector", func(t *testing.T) {
		db, err := openPostgres(pgtest.Shared(t).CreateDatabase(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		createTable(t, db)
		seenBy(t, db, db.DB, len(ways))
	})
}

// seenBy writes in each way and expects that the first so many show.
func seenBy(t *testing.T, db *bun.DB, sqldb *sql.DB, seen int) {
	t.Helper()
	all := bunsource.Bind[Ticket](db, "all")
	reg := core.NewRegistry()
	reg.Add(all)
	reg.Watch(bunsource.Hooks(db))
	start(t, reg)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for i, way := range ways {
		before := all.Len()
		if err := way.write(ctx, db, sqldb); err != nil {
			t.Fatalf("%s: %v", way.name, err)
		}
		if err := reg.Flush(ctx); err != nil { // what is reported shows after this
			t.Fatal(err)
		}
		if shows := all.Len() > before; shows != (i < seen) {
			t.Errorf("%s: shows %v", way.name, shows)
		}
		if i >= seen { // so that the next write finds all others
			if err := all.Resync(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestOthersAreSeen has another process's part: a second pool.
func TestOthersAreSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "desk.sqlite")
	db, err := openSQLite(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	createTable(t, db)
	_, l := started(t, db)
	came := make(chan struct{}, 16)
	t.Cleanup(l.open.OnChange(func(d core.Delta[Ticket]) {
		if len(d.Created) > 0 {
			came <- struct{}{}
		}
	}))
	other, err := sql.Open("sqlite", "file:"+path+sqliteOptions)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	if err := ways[4].write(t.Context(), nil, other); err != nil {
		t.Fatal(err)
	}
	select {
	case <-came:
	case <-time.After(60 * time.Second):
		t.Fatal("the write of another program does not show")
	}
}
