package bunsource

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// fieldToBlame returns the field to blame for a row of [unshowable], and a good value.
func fieldToBlame(kind string) (field, good string) {
	switch {
	case strings.Contains(kind, "time"), strings.Contains(kind, "year"), strings.Contains(kind, "era"):
		return "at", `"2026-01-02T00:00:00Z"`
	case strings.Contains(kind, "text"):
		return "count", "7"
	}
	return "value", "7"
}

// TestBadRowsAreMendedByWrites: a write that gives the field to blame another value mends a
// row that cannot be read or shown, one that does not is told which field it is, and a
// DELETE needs none.
func TestBadRowsAreMendedByWrites(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (*bun.DB, error){
		"sqlite": openReadings,
		"postgres": func(t *testing.T) (*bun.DB, error) {
			return Open("pgx", pgtest.Shared(t).CreateDatabase(t), pgdialect.New())
		},
	} {
		t.Run(name, func(t *testing.T) {
			db, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			createReadings(t, db)
			mustExec(t, db, `INSERT INTO readings VALUES (1, 'b', 1, 1, '2026-01-01 00:00:00')`)
			reg := core.NewRegistry()
			a := Bind[reading](db, "a", core.Where(filter.Eq("tenant", "a")), core.Writable())
			b := Bind[reading](db, "b", core.Where(filter.Eq("tenant", "b")), core.Writable())
			narrow := Bind[reading](db, "narrow", core.Where(filter.Eq("tenant", "b")), core.Columns("id", "tenant"), core.Writable())
			_ = reg.Add(a, b, narrow)
			_ = reg.Watch(Hooks(db))
			if err := reg.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = reg.Shutdown(context.Background()) }()
			for kind, insert := range unshowable(db.Dialect().Name()) {
				mustExec(t, db, "DELETE FROM readings WHERE id > 1")
				for id := 2; id < 6; id++ {
					mustExec(t, db, insert, id)
				}
				if err := reg.Flush(t.Context()); err != nil { // it may learn that a column holds texts
					t.Fatal(err)
				}
				field, good := fieldToBlame(kind)
				write := func(b *core.Binding[reading], op live.WriteOp, id int, body string) error {
					_, err := b.Write(t.Context(), live.Write{Op: op, Key: driver.KeyOf(id), Body: []byte(body)})
					return err
				}
				var bad *live.UnreadableError
				if err := write(b, live.Merge, 2, `{"tenant":"b"}`); !errors.As(err, &bad) || bad.Key != driver.KeyOf(2) || len(bad.Fields) != 1 || bad.Fields[0].Field != field {
					t.Errorf("%s: another field: %v; want %s to be named", kind, err, field)
				}
				if err := write(narrow, live.Merge, 2, `{"tenant":"b"}`); !errors.As(err, &bad) || len(bad.Fields) > 1 || len(bad.Fields) == 1 && bad.Fields[0].Field != "" {
					t.Errorf("%s: a field that is not shown is named: %v", kind, err)
				}
				if err := write(a, live.Merge, 2, `{"`+field+`":`+good+`}`); !errors.Is(err, live.ErrNoRow) {
					t.Errorf("%s: another tenant's: %v", kind, err)
				}
				if err := write(b, live.Merge, 2, `{"`+field+`":`+good+`}`); err != nil {
					t.Errorf("%s: the field: %v", kind, err)
				}
				if err := write(b, live.Replace, 3, `{"tenant":"b","value":7,"count":7,"at":"2026-01-02T00:00:00Z"}`); err != nil {
					t.Errorf("%s: all fields: %v", kind, err)
				}
				if err := errors.Join(write(b, live.Delete, 4, ""), write(narrow, live.Delete, 5, "")); err != nil {
					t.Errorf("%s: deleting: %v", kind, err)
				}
				var left []reading
				if err := db.NewSelect().Model(&left).Order("id").Scan(t.Context()); err != nil || len(left) != 3 {
					t.Fatalf("%s: %d rows are left of 3: %v", kind, len(left), err)
				}
				for _, r := range left[1:] {
					if field == "at" && !r.At.Equal(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)) || field == "value" && r.Value != 7 || field == "count" && r.Count != 7 || r.Tenant != "b" {
						t.Errorf("%s: %+v", kind, r)
					}
				}
			}
		})
	}
}

func openReadings(t *testing.T) (*bun.DB, error) {
	return Open("sqlite", "file:"+filepath.Join(t.TempDir(), "test.db")+"?_pragma=busy_timeout(60000)&"+walMode, sqlitedialect.New())
}

// TestMendingAFilteredColumn: a row whose filtered column cannot be read is mended through
// a binding that still shows it, because it is stale. But who has lost a row by another
// column does not get it back.
func TestMendingAFilteredColumn(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	db, err := openReadings(t)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	createReadings(t, db)
	mustExec(t, db, `INSERT INTO readings VALUES (1, 'b', 1, 1, '2026-01-01 00:00:00'), (2, 'b', 1, 1, '2026-01-01 00:00:00'), (3, 'b', 1, 1, '2026-01-01 00:00:00')`)
	reg := core.NewRegistry()
	few := Bind[reading](db, "few", core.Where(filter.And(filter.Eq("tenant", "b"), filter.Lt("count", 5))), core.Writable())
	_ = reg.Add(few)
	_ = reg.Watch(Hooks(db))
	if err := reg.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reg.Shutdown(context.Background()) }()
	for _, statement := range []string{
		`UPDATE readings SET at = 'tomorrow' WHERE id = 3`, // since then the binding is stale
		`UPDATE readings SET count = 'many' WHERE id = 1`,
		`UPDATE readings SET count = 'many', tenant = 'a' WHERE id = 2`,
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := reg.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if few.Len() != 3 {
		t.Fatalf("it does not show the rows any more: %v", few.Status().Err)
	}
	merge := func(id int, body string) error {
		_, err := few.Write(ctx, live.Write{Op: live.Merge, Key: driver.KeyOf(id), Body: []byte(body)})
		return err
	}
	if err := merge(2, `{"tenant":"b","count":2}`); !errors.Is(err, live.ErrNoRow) {
		t.Errorf("another tenant's row: %v", err)
	}
	if err := merge(1, `{"count":20}`); err == nil {
		t.Error("a row was written that leaves the binding")
	}
	if err := errors.Join(merge(1, `{"count":2}`), merge(3, `{"at":"2026-01-01T00:00:00Z"}`)); err != nil {
		t.Error(err)
	}
	for st := few.Status(); st.State != status.Live || few.Len() != 2; st = few.Status() {
		if ctx.Err() != nil {
			t.Fatalf("it does not recover: %+v", st)
		}
		time.Sleep(time.Millisecond)
	}
}
