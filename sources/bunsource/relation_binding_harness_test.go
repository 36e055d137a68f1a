package bunsource

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
	"github.com/binderyhq/bindery/sources/pgsource"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
	"github.com/binderyhq/bindery/sources/sqlitesource"
)

// relWorld is a database that a registry watches and others write to.
type relWorld struct {
	plain   *bun.DB // of which nobody sees what it writes, unless a source does
	db      *bun.DB // that the bindings are over
	writer  *bun.DB // whose writes the sources see
	sources []driver.Source
}

// eachWorld runs a test with every kind of source that knows keys.
func eachWorld(t *testing.T, test func(t *testing.T, w relWorld)) {
	openedSQLite := func(t *testing.T) (dsn string, plain *bun.DB) {
		dsn = "file:" + filepath.Join(t.TempDir(), "test.db") + "?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=busy_timeout(60000)&_txlock=immediate"
		return dsn, openedPlain(t, "sqlite", dsn)
	}
	t.Run("sqlite hooks", func(t *testing.T) {
		dsn, plain := openedSQLite(t)
		db, err := Open("sqlite", dsn, sqlitedialect.New())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		test(t, relWorld{plain: plain, db: db, writer: db, sources: []driver.Source{Hooks(db)}})
	})
	t.Run("sqlitesource", func(t *testing.T) {
		dsn, plain := openedSQLite(t)
		source, err := sqlitesource.New(dsn)
		if err != nil {
			t.Fatal(err)
		}
		sqldb := sql.OpenDB(source.Connector())
		t.Cleanup(func() { _ = sqldb.Close() })
		db := bun.NewDB(sqldb, sqlitedialect.New())
		test(t, relWorld{plain: plain, db: db, writer: db, sources: []driver.Source{source}})
	})
	t.Run("postgres hooks", func(t *testing.T) {
		dsn := pgtest.Shared(t).CreateDatabase(t)
		db, err := Open("pgx", dsn, pgdialect.New())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		test(t, relWorld{plain: openedPlain(t, "pgx", dsn), db: db, writer: db, sources: []driver.Source{Hooks(db)}})
	})
	t.Run("pgsource", func(t *testing.T) {
		dsn := pgtest.Shared(t).CreateDatabase(t)
		plain := openedPlain(t, "pgx", dsn)
		test(t, relWorld{plain: plain, db: openedPlain(t, "pgx", dsn), writer: plain, sources: []driver.Source{pgsource.New(dsn)}})
	})
}

func openedPlain(t *testing.T, driver, dsn string) *bun.DB {
	t.Helper()
	sqldb, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sqldb.Close() })
	if driver == "sqlite" {
		return bun.NewDB(sqldb, sqlitedialect.New())
	}
	return bun.NewDB(sqldb, pgdialect.New())
}

// serve starts a registry over the bindings, and waits until its sources watch.
func (w *relWorld) serve(t *testing.T, plugin core.Plugin, bindings ...core.Bindable) *core.Registry {
	t.Helper()
	reg := core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry()
	var errs []error
	errs = append(errs, reg.Add(bindings...), reg.Watch(w.sources...))
	if plugin != nil {
		errs = append(errs, reg.Use(plugin))
	}
	if err := errors.Join(append(errs, reg.Start(t.Context()))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := reg.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	within(t, "the sources watch", func() error {
		for _, s := range reg.Status().Sources {
			if !s.Watching {
				return fmt.Errorf("source %q does not watch: %w", s.Name, s.Err)
			}
		}
		return nil
	})
	return reg
}

// within waits until the check passes.
func within(t failing, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute: %v", what, err)
		}
		time.Sleep(time.Millisecond)
	}
}

type failing interface {
	Helper()
	Fatalf(format string, args ...any)
}

// relBinding is a binding, and the query whose result it must be.
type relBinding struct {
	core.Bindable
	view *live.View
	want func(t testing.TB, db *bun.DB) []string
}

func bindRelated[T any](db *bun.DB, name string, names []string, keep func(q *bun.SelectQuery) *bun.SelectQuery, opts ...core.Option) relBinding {
	if len(names) > 0 {
		opts = append(opts, Relation(names...))
	}
	b := Bind[T](db, name, opts...)
	return relBinding{Bindable: b, view: b.View, want: func(t testing.TB, db *bun.DB) []string {
		t.Helper()
		var rows []*T
		q := db.NewSelect().Model(&rows)
		for _, path := range model.RelationPaths(names) {
			q = q.Relation(path)
		}
		if keep != nil {
			q = keep(q)
		}
		if err := q.Scan(t.Context()); err != nil {
			t.Fatal(err)
		}
		return encodeAll(t, NewLoader[T](db), rows)
	}}
}

// held returns what clients are shown, as encodeAll writes it.
func (b *relBinding) held(t testing.TB) []string {
	t.Helper()
	rows := make(map[driver.Key]string)
	var keys []driver.Key
	for r := range b.view.Snapshot().Rows() {
		var v any
		if err := json.Unmarshal(r.JSON(), &v); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(inOrder(v))
		if err != nil {
			t.Fatal(err)
		}
		rows[r.Key()] = string(text)
		keys = append(keys, r.Key())
	}
	slices.Sort(keys)
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = rows[k]
	}
	return out
}

// openedLike returns another *bun.DB over the same *sql.DB.
func openedLike(db *bun.DB) *bun.DB { return bun.NewDB(db.DB, db.Dialect()) }
