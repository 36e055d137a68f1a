package bunsource

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

type catalogued struct {
	bun.BaseModel `bun:"table:Catalogued"`
	ID            int64     `bun:"Id,pk"`
	Name          string    `bun:"Name"`
	Code          string    `bun:",notnull"`
	Price         string    `bun:"type:numeric"`
	At            time.Time `bun:",notnull"`
	Note          *string
}

func TestPrepareNamesWhatIsMissing(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		db.SetMaxOpenConns(1)
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		l := NewLoader[catalogued](db)
		err := l.refine(ctx)
		if err == nil || err.Error() != `bunsource: preparing table "Catalogued": it does not exist` {
			t.Fatalf("without a table: %v", err)
		}
		mustExec(t, db, `CREATE TABLE "Catalogued" ("Id" INTEGER PRIMARY KEY, "Name" VARCHAR(20), code VARCHAR(8) NOT NULL, price NUMERIC, at TIMESTAMP NOT NULL)`)
		err = l.refine(ctx)
		const want = `bunsource: preparing table "Catalogued": it has no column "note" for the field Note (its columns are Id, Name, code, price, at)`
		if err == nil || err.Error() != want {
			t.Fatalf("without a column: %v", err)
		}
		if s, err := l.Schema(); err != nil || len(s.Columns) != 6 {
			t.Errorf("schema while unprepared: %v, %v", s, err)
		}
		mustExec(t, db, `ALTER TABLE "Catalogued" ADD COLUMN note TEXT`)
		if err := l.refine(ctx); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPrepareLearnsColumns(t *testing.T) {
	facts := func(t *testing.T, db *bun.DB) map[string]model.TableColumn {
		t.Helper()
		db.SetMaxOpenConns(1)
		l := preparedLoader[catalogued](t, db)
		m, err := l.model()
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]model.TableColumn)
		for i, c := range m.Columns {
			pub := m.Schema.Columns[i]
			c.Facts.FoldsASCII = false // it is asked of the server, not of the column
			got[pub.Name] = model.TableColumn{Name: pub.Name, State: model.State{Facts: c.Facts, NotNull: !pub.Nullable, Default: pub.Default, Generated: pub.Generated, Computed: pub.Computed}}
		}
		return got
	}
	expect := func(t *testing.T, got map[string]model.TableColumn, name, sqlType, collation string, deterministic, notNull bool, more ...string) {
		t.Helper()
		want := model.TableColumn{Name: name, State: model.State{
			Facts:   exact.Facts{SQLType: sqlType, Collation: collation, Deterministic: deterministic, Known: true},
			NotNull: notNull, Default: slices.Contains(more, "default"), Generated: slices.Contains(more, "generated"), Computed: slices.Contains(more, "generated"),
		}}
		if got[name] != want {
			t.Errorf("got %+v, want %+v", got[name], want)
		}
	}
	t.Run("sqlite", func(t *testing.T) {
		db := loaderSQLite(t)
		mustExec(t, db, `CREATE TABLE "Catalogued" (id INTEGER PRIMARY KEY, name VARCHAR(20), code VARCHAR(8) NOT NULL, price NUMERIC(10,2) GENERATED ALWAYS AS (1.5), at TIMESTAMP NOT NULL, note TEXT)`)
		got := facts(t, db)
		expect(t, got, "Id", "INTEGER", "BINARY", true, true, "default")
		expect(t, got, "Name", "VARCHAR(20)", "BINARY", true, false)
		expect(t, got, "code", "VARCHAR(8)", "BINARY", true, true)
		expect(t, got, "price", "NUMERIC(10,2)", "BINARY", true, false, "generated")
		expect(t, got, "note", "TEXT", "BINARY", true, false)
	})
	t.Run("sqlite, collated", func(t *testing.T) {
		db := loaderSQLite(t)
		mustExec(t, db, `CREATE TABLE "Catalogued" (Id INTEGER PRIMARY KEY, Name TEXT collate nocase, code TEXT NOT NULL, price NUMERIC, at TIMESTAMP NOT NULL, note TEXT)`)
		expect(t, facts(t, db), "code", "TEXT", model.SQLiteUnknownCollation, true, true)
	})
	t.Run("sqlite, view", func(t *testing.T) {
		db := loaderSQLite(t)
		mustExec(t, db, `CREATE VIEW "Catalogued" AS SELECT 1 AS Id, 'x' AS Name, 'c' AS code, 1 AS price, '2024-01-01' AS at, NULL AS note`)
		if got := facts(t, db)["code"]; got.State.Known {
			t.Errorf("a view's column is known: %+v", got)
		}
	})
	const create = `CREATE TABLE "Catalogued" ("Id" INTEGER PRIMARY KEY, "Name" VARCHAR(20) COLLATE folded DEFAULT 'n', code label, price NUMERIC(10,2) GENERATED ALWAYS AS (1.5) STORED, at TIMESTAMPTZ NOT NULL DEFAULT now(), note TEXT COLLATE german)`
	t.Run("postgres", func(t *testing.T) {
		db := loaderPostgres(t)
		mustExec(t, db, `CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)
		mustExec(t, db, `CREATE COLLATION german (provider = icu, locale = 'de')`)
		mustExec(t, db, `CREATE DOMAIN label AS VARCHAR(8) NOT NULL`)
		mustExec(t, db, create)
		got := facts(t, db)
		expect(t, got, "Id", "integer", "", true, true)
		expect(t, got, "Name", "character varying(20)", "folded", false, false, "default")
		expect(t, got, "code", "character varying(8)", "C", true, true) // the server's default
		expect(t, got, "price", "numeric(10,2)", "", true, false, "default", "generated")
		expect(t, got, "at", "timestamp with time zone", "", true, true, "default")
		expect(t, got, "note", "text", "german", true, false)
	})
	t.Run("postgres, icu", func(t *testing.T) {
		db := loaderPostgres(t, "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'und'")
		mustExec(t, db, `CREATE TABLE "Catalogued" ("Id" INTEGER PRIMARY KEY, "Name" TEXT COLLATE "C", code TEXT NOT NULL, price NUMERIC, at DATE NOT NULL, note TEXT)`)
		got := facts(t, db)
		expect(t, got, "Name", "text", "C", true, false)
		expect(t, got, "code", "text", "default", true, true)
	})
}

func TestPrepareFindsTablesInSchemas(t *testing.T) {
	type item struct {
		bun.BaseModel `bun:"table:stock.Items"`
		ID            int64 `bun:",pk"`
	}
	db := loaderPostgres(t)
	mustExec(t, db, `CREATE SCHEMA stock`)
	mustExec(t, db, `CREATE TABLE stock."Items" (id bigint PRIMARY KEY)`)
	mustExec(t, db, `INSERT INTO stock."Items" VALUES (1)`)
	l := preparedLoader[item](t, db)
	if s, _ := l.Schema(); s.Table != (driver.Table{Schema: "stock", Name: "Items"}) {
		t.Errorf("table %+v", s.Table)
	}
	if rows, err := l.Load(t.Context(), []driver.Key{driver.KeyOf(1)}); err != nil || len(rows) != 1 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}
