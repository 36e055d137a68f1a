package bunsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// ware has what makes writing difficult: every kind of default, zero values
// that mean something, constraints, and a column that a hook fills in.
type ware struct {
	bun.BaseModel `bun:"table:wares,alias:w"`

	ID      int64     `bun:",pk,autoincrement" json:"id"`
	Name    string    `bun:",notnull" json:"name"`
	Code    *string   `bun:"code_no" json:"code"`
	Price   money     `bun:",notnull" json:"price"`
	Stock   int64     `bun:",notnull,default:7" json:"stock"`
	Active  bool      `bun:",notnull,nullzero,default:true" json:"active"`
	Note    *string   `bun:",default:'none'" json:"note"`
	Small   int64     `bun:",notnull,default:0" json:"small"`
	Tag     string    `bun:",nullzero" json:"tag"`
	Shelf   *int64    `bun:"shelf_id" json:"shelf"`
	Serial  *string   `bun:"serial,type:uuid" json:"serial"`
	Day     *string   `bun:"made_on,type:date" json:"day"`
	Touched time.Time `bun:",notnull" json:"touched"`
}

// money is a number that SQLite stores as an integer when it is a whole one.
type money float64

func (m *money) Scan(src any) error {
	_, err := fmt.Sscan(asText(src), (*float64)(m))
	return err
}

func asText(src any) string {
	if b, ok := src.([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(src)
}

var wareTouched = time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)

// BeforeAppendModel implements [bun.BeforeAppendModelHook].
func (w *ware) BeforeAppendModel(_ context.Context, q bun.Query) error {
	switch q.(type) {
	case *bun.InsertQuery, *bun.UpdateQuery:
		w.Touched = wareTouched
	}
	if w.Name == "refused by the hook" {
		return driver.Invalid("name", "is refused")
	}
	return nil
}

// eachWritable runs a test on databases that keep foreign keys, with the
// table of wares in them.
func eachWritable(t *testing.T, test func(t *testing.T, db *bun.DB)) {
	t.Helper()
	for _, d := range []dialect.Name{dialect.SQLite, dialect.PG} {
		t.Run(d.String(), func(t *testing.T) {
			var db *bun.DB
			var err error
			id := "BIGSERIAL PRIMARY KEY"
			if d == dialect.SQLite {
				id = "INTEGER PRIMARY KEY AUTOINCREMENT"
				db, err = Open("sqlite", "file:"+filepath.Join(t.TempDir(), "write.db")+"?_pragma=busy_timeout(60000)&_pragma=foreign_keys(1)&"+walMode, sqlitedialect.New())
			} else {
				db, err = Open("pgx", pgtest.Shared(t).CreateDatabase(t), pgdialect.New())
			}
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			mustExec(t, db, `CREATE TABLE shelves (id BIGINT PRIMARY KEY)`)
			mustExec(t, db, `INSERT INTO shelves VALUES (1)`)
			mustExec(t, db, `CREATE TABLE wares (id `+id+`, name VARCHAR(20) NOT NULL, code_no TEXT UNIQUE,
				price NUMERIC(10,2) NOT NULL CHECK (price >= 0), stock BIGINT NOT NULL DEFAULT 7, active BOOLEAN NOT NULL DEFAULT TRUE,
				note TEXT DEFAULT 'none', small SMALLINT NOT NULL DEFAULT 0, tag TEXT, shelf_id BIGINT REFERENCES shelves (id),
				serial UUID, made_on DATE, touched TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)`)
			test(t, db)
		})
	}
}

// bindWares starts a registry that watches db by its hooks.
func bindWares(t *testing.T, db *bun.DB, opts ...core.Option) *core.Binding[ware] {
	t.Helper()
	return bindIn[ware](t, db, "wares", append(opts, core.Writable())...)
}

func bindIn[T any](t *testing.T, db *bun.DB, name string, opts ...core.Option) *core.Binding[T] {
	t.Helper()
	b := Bind[T](db, name, opts...)
	reg := quietRegistry()
	if err := errors.Join(reg.Add(b), reg.Watch(Hooks(db))); err != nil {
		t.Fatal(err)
	}
	startRegistry(t, reg)
	waitLoaded(t, b)
	return b
}

func post[T any](t *testing.T, b *core.Binding[T], body string) (live.Row, error) {
	t.Helper()
	return b.Write(t.Context(), live.Write{Op: live.Insert, Body: []byte(body)})
}

func patch[T any](t *testing.T, b *core.Binding[T], key driver.Key, body string) (live.Row, error) {
	t.Helper()
	return b.Write(t.Context(), live.Write{Op: live.Merge, Key: key, Body: []byte(body)})
}

func put[T any](t *testing.T, b *core.Binding[T], key driver.Key, body string) (live.Row, error) {
	t.Helper()
	return b.Write(t.Context(), live.Write{Op: live.Replace, Key: key, Body: []byte(body)})
}

// rowOf decodes what a write answered, and holds it against what the binding
// shows.
func rowOf[T any](t *testing.T, b *core.Binding[T], row live.Row, err error) (v T) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	shown, ok := b.Snapshot().Get(row.Key())
	if !ok || string(shown.JSON()) != string(row.JSON()) || shown.Token() != row.Token() {
		t.Fatalf("answered %s, the binding shows %v", row.JSON(), ok)
	}
	if err := json.Unmarshal(row.JSON(), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// rawWare reads columns of a row past everything.
func rawWare(t *testing.T, db *bun.DB, columns string, key driver.Key) string {
	t.Helper()
	var text string
	if err := db.QueryRowContext(withoutHooks(t.Context()), "SELECT "+columns+" FROM wares WHERE id = "+key.String()).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}
