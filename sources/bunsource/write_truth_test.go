package bunsource

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/sources/bunsource/internal/dberror"
)

// deed has what a database decides beside the rows' own constraints.
type deed struct {
	bun.BaseModel `bun:"table:deeds,alias:d"`

	ID       int64          `bun:",pk,autoincrement" json:"id"`
	Name     string         `bun:",notnull" json:"name"`
	Amount   int64          `bun:",notnull" json:"amount"`
	Double   int64          `bun:",notnull" json:"double"` // generated
	Shelf    *int64         `bun:"shelf_id" json:"shelf"`  // refers to shelves, checked at COMMIT
	Other    *int64         `bun:"other_id" json:"other"`  // likewise
	Data     *deedData      `bun:"type:jsonb" json:"data"`
	Loose    map[string]any `bun:"type:jsonb" json:"loose"`
	Where    deedPlace      `bun:"embed:where_" json:"where"`
	deedTime                // promoted
	Label    string         `bun:"-" json:"label"` // no column
}

type deedData struct {
	A   int `json:"a"`
	Sub struct {
		B int `json:"b"`
	} `json:"sub"`
}

type deedPlace struct {
	City   string  `bun:",notnull,default:'here'" json:"city"`
	Street *string `json:"street"`
}

type deedTime struct {
	Hour int64 `bun:",notnull,default:0" json:"hour"`
}

var _ bun.AfterScanRowHook = (*deed)(nil)

func (d *deed) AfterScanRow(context.Context) error {
	d.Label = "deed " + d.Name
	return nil
}

// eachDeeds runs a test with a table of deeds, one of them in it.
func eachDeeds(t *testing.T, test func(t *testing.T, db *bun.DB, b *core.Binding[deed])) {
	t.Helper()
	eachWritable(t, func(t *testing.T, db *bun.DB) {
		id, doc := "BIGSERIAL PRIMARY KEY", "JSONB"
		if isSQLite(db) {
			id, doc = "INTEGER PRIMARY KEY AUTOINCREMENT", "TEXT"
		}
		mustExec(t, db, `CREATE TABLE deeds (id `+id+`, name TEXT NOT NULL UNIQUE, amount BIGINT NOT NULL, "double" BIGINT NOT NULL GENERATED ALWAYS AS (amount * 2) STORED,
			shelf_id BIGINT REFERENCES shelves (id) DEFERRABLE INITIALLY DEFERRED, other_id BIGINT REFERENCES shelves (id) DEFERRABLE INITIALLY DEFERRED,
			data `+doc+`, loose `+doc+`, where_city TEXT NOT NULL DEFAULT 'here', where_street TEXT, hour BIGINT NOT NULL DEFAULT 0)`)
		mustExec(t, db, `INSERT INTO deeds (id, name, amount, data, loose) VALUES (100, 'first', 1, '{"a":1,"sub":{"b":2,"c":9007199254740993},"unknown":{"x":12345678901234567890}}', '{"big":9007199254740993,"small":1}')`)
		for name, tr := range map[string]struct{ event, row, sqlite, postgres string }{
			"skip_insert":  {"INSERT", "NEW.name = 'skipped'", "RAISE(IGNORE)", "RETURN NULL;"},
			"skip_update":  {"UPDATE", "NEW.name = 'skipped'", "RAISE(IGNORE)", "RETURN NULL;"},
			"skip_delete":  {"DELETE", "OLD.amount = 13", "RAISE(IGNORE)", "RETURN NULL;"},
			"raise_insert": {"INSERT", "NEW.name = 'raised'", "RAISE(ABORT, 'the words of a trigger')", "RAISE EXCEPTION 'the words of a trigger';"},
			"raise_update": {"UPDATE", "NEW.name = 'raised'", "RAISE(FAIL, 'the words of a trigger')", "RAISE EXCEPTION 'the words of a trigger' USING ERRCODE = 'ZZ001';"},
			"raise_delete": {"DELETE", "OLD.amount = 14", "RAISE(ROLLBACK, 'database is locked')", "RAISE EXCEPTION 'the words of a trigger';"},
		} {
			if isSQLite(db) {
				mustExec(t, db, `CREATE TRIGGER `+name+` BEFORE `+tr.event+` ON deeds WHEN `+tr.row+` BEGIN SELECT `+tr.sqlite+`; END`)
				continue
			}
			mustExec(t, db, `CREATE FUNCTION `+name+`() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF `+tr.row+` THEN `+tr.postgres+` END IF;
				IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$`)
			mustExec(t, db, `CREATE TRIGGER `+name+` BEFORE `+tr.event+` ON deeds FOR EACH ROW EXECUTE FUNCTION `+name+`()`)
		}
		test(t, db, bindIn[deed](t, db, "deeds", core.Writable()))
	})
}

// remove deletes through a binding.
func remove[T any](t *testing.T, b *core.Binding[T], key driver.Key) error {
	t.Helper()
	_, err := b.Write(t.Context(), live.Write{Op: live.Delete, Key: key})
	return err
}

// wantRefused demands an InvalidError about the field, which may be "".
func wantRefused(t *testing.T, what string, err error, field, detail string) {
	t.Helper()
	var invalid *driver.InvalidError
	if !errors.As(err, &invalid) || len(invalid.Fields) != 1 || invalid.Fields[0].Field != field || invalid.Fields[0].Detail != detail {
		t.Errorf("%s: %v, want %q %s", what, err, field, detail)
	}
}

func TestWriteTellsWhatTheDatabaseRefused(t *testing.T) {
	eachDeeds(t, func(t *testing.T, db *bun.DB, b *core.Binding[deed]) {
		mustExec(t, db, `INSERT INTO deeds (id, name, amount) VALUES (13, 'kept', 13), (14, 'guarded', 14)`)
		first := driver.KeyOf(100)
		_, err := post(t, b, `{"name":"skipped","amount":1}`)
		if !errors.Is(err, driver.ErrRefused) {
			t.Errorf("an insert that a trigger skips: %v", err)
		}
		if _, err := patch(t, b, first, `{"name":"skipped"}`); !errors.Is(err, driver.ErrRefused) {
			t.Errorf("an update that a trigger skips: %v", err)
		}
		if err := remove(t, b, driver.KeyOf(13)); !errors.Is(err, driver.ErrRefused) {
			t.Errorf("a delete that a trigger skips: %v", err)
		}
		_, err = post(t, b, `{"name":"raised","amount":1}`)
		wantRefused(t, "an insert that a trigger refuses", err, "", dberror.DetailRaised)
		_, err = patch(t, b, first, `{"name":"raised","amount":3}`)
		wantRefused(t, "an update that a trigger refuses", err, "", dberror.DetailRaised)
		wantRefused(t, "a delete that a trigger refuses", remove(t, b, driver.KeyOf(14)), "", dberror.DetailRaised)

		_, err = post(t, b, `{"name":"dangling","amount":1,"shelf":99}`)
		wantRefused(t, "an insert that COMMIT refuses", err, "shelf", dberror.DetailReference)
		_, err = patch(t, b, first, `{"amount":2,"other":99}`)
		wantRefused(t, "an update that COMMIT refuses", err, "other", dberror.DetailReference)
		if got := rawDeed(t, db, "amount", 100); got != "1" {
			t.Errorf("refused writes left the amount %s", got)
		}
		// The connection is fit for the next.
		for range 3 {
			if _, err := patch(t, b, first, `{"amount":1,"shelf":1}`); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func rawDeed(t *testing.T, db *bun.DB, columns string, id int64) (text string) {
	t.Helper()
	if err := db.NewSelect().Table("deeds").ColumnExpr("CAST("+columns+" AS TEXT)").Where("id = ?", id).Scan(t.Context(), &text); err != nil {
		t.Fatal(err)
	}
	return text
}

// Row-level security shows rows to readers and hides them from writers.
func TestWriteUnderRowLevelSecurity(t *testing.T) {
	eachDeeds(t, func(t *testing.T, db *bun.DB, b *core.Binding[deed]) {
		if isSQLite(db) {
			t.Skip("SQLite has none")
		}
		for _, q := range []string{
			`ALTER TABLE deeds ENABLE ROW LEVEL SECURITY`, `ALTER TABLE deeds FORCE ROW LEVEL SECURITY`,
			`CREATE POLICY seen ON deeds FOR SELECT USING (true)`,
			`CREATE POLICY inserted ON deeds FOR INSERT WITH CHECK (amount > 0)`,
			`CREATE POLICY updated ON deeds FOR UPDATE USING (amount < 50)`,
			`CREATE POLICY deleted ON deeds FOR DELETE USING (amount < 50)`,
			`CREATE ROLE writer NOSUPERUSER`, `GRANT ALL ON ALL TABLES IN SCHEMA public TO writer`, `GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO writer`,
		} {
			mustExec(t, db, q)
		}
		mustExec(t, db, `INSERT INTO deeds (id, name, amount) VALUES (50, 'locked', 50)`)
		var name string
		if err := db.NewRaw("SELECT current_database()").Scan(t.Context(), &name); err != nil {
			t.Fatal(err)
		}
		mustExec(t, db, `ALTER DATABASE "`+name+`" SET role = writer`)
		db.SetMaxIdleConns(0) // new sessions have the role
		defer func() {
			mustExec(t, db, `SET ROLE NONE; ALTER DATABASE "`+name+`" RESET role; DROP OWNED BY writer; DROP ROLE writer`)
		}()
		for what, err := range map[string]error{
			"insert": func() error { _, err := post(t, b, `{"name":"x","amount":0}`); return err }(),
			"update": func() error { _, err := patch(t, b, driver.KeyOf(50), `{"amount":1}`); return err }(),
			"delete": remove(t, b, driver.KeyOf(50)),
			"moved":  func() error { _, err := patch(t, b, driver.KeyOf(100), `{"amount":51}`); return err }(),
		} {
			if !errors.Is(err, driver.ErrRefused) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := patch(t, b, driver.KeyOf(100), `{"amount":2}`); err != nil {
			t.Errorf("what the policy allows: %v", err)
		}
	})
}

// What GET gave can be PUT.
func TestPutOfWhatGetGave(t *testing.T) {
	eachDeeds(t, func(t *testing.T, db *bun.DB, b *core.Binding[deed]) {
		key := driver.KeyOf(100)
		shown, _ := b.Snapshot().Get(key)
		row, err := put(t, b, key, string(shown.JSON()))
		if err != nil || row.Token() != shown.Token() {
			t.Fatalf("%v: %s became %s", err, shown.JSON(), row.JSON())
		}
		edited := strings.Replace(string(shown.JSON()), `"amount":1`, `"amount":21`, 1)
		row, err = put(t, b, key, edited)
		if got := rowOf(t, b, row, err); got.Amount != 21 || got.Double != 42 {
			t.Errorf("%+v", got)
		}
		_, err = put(t, b, key, strings.Replace(string(row.JSON()), `"double":42`, `"double":43`, 1))
		wantRefused(t, "a generated column", err, "double", "is made by the database and cannot be changed")
		_, err = put(t, b, key, strings.Replace(string(row.JSON()), `"deed first"`, `"another"`, 1))
		wantRefused(t, "a member that is no column", err, "label", "is no field that can be written")
		_, err = patch(t, b, key, `{"nothing":1}`)
		wantRefused(t, "a member that is not shown", err, "nothing", "is no field of this binding")
		_, err = post(t, b, `{"name":"n","amount":1,"double":2}`)
		wantRefused(t, "a generated column in an insert", err, "double", "is made by the database and cannot be given")
	})
}

// A patch of one member leaves what Go does not know, or would round.
func TestPatchOfADocument(t *testing.T) {
	eachDeeds(t, func(t *testing.T, db *bun.DB, b *core.Binding[deed]) {
		key := driver.KeyOf(100)
		row, err := patch(t, b, key, `{"data":{"sub":{"b":3}},"loose":{"new":18446744073709551615}}`)
		got := rowOf(t, b, row, err)
		if got.Data == nil || got.Data.A != 1 || got.Data.Sub.B != 3 {
			t.Errorf("data: %s", row.JSON())
		}
		for column, want := range map[string]string{
			"data":  `{"a":1,"sub":{"b":3,"c":9007199254740993},"unknown":{"x":12345678901234567890}}`,
			"loose": `{"big":9007199254740993,"new":18446744073709551615,"small":1}`,
		} {
			if raw := rawDeed(t, db, column, 100); canonical(t, raw) != canonical(t, want) {
				t.Errorf("%s: %s, want %s", column, raw, want)
			}
		}
		if _, err := patch(t, b, key, `{"data":{"sub":{"b":"x"}}}`); err == nil {
			t.Error("a member of another type is accepted")
		}
		// Where there is none, the patch is the document.
		mustExec(t, db, `INSERT INTO deeds (id, name, amount, data) VALUES (7, 'none', 1, 'null')`)
		mustExec(t, db, `UPDATE deeds SET loose = NULL WHERE id = 7`)
		row, err = patch(t, b, driver.KeyOf(7), `{"data":{"a":5,"sub":null},"loose":{"x":1}}`)
		if got := rowOf(t, b, row, err); got.Data == nil || got.Data.A != 5 || len(got.Loose) != 1 {
			t.Errorf("%s", row.JSON())
		}
	})
}

// canonical rewrites JSON with sorted members and numbers as they are spelled.
func canonical(t *testing.T, text string) string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestWriteEmbeddedColumns(t *testing.T) {
	eachDeeds(t, func(t *testing.T, db *bun.DB, b *core.Binding[deed]) {
		row, err := post(t, b, `{"name":"new","amount":1,"where":{"city":"Wien","street":"Ring"},"hour":7}`)
		got := rowOf(t, b, row, err)
		if got.Where.City != "Wien" || got.Where.Street == nil || *got.Where.Street != "Ring" || got.Hour != 7 {
			t.Fatalf("%s", row.JSON())
		}
		row, err = patch(t, b, row.Key(), `{"where":{"street":null},"hour":8}`)
		if got := rowOf(t, b, row, err); got.Where.City != "Wien" || got.Where.Street != nil || got.Hour != 8 {
			t.Errorf("%s", row.JSON())
		}
		row, err = put(t, b, row.Key(), `{"name":"new","amount":1,"where":{"city":"Graz"}}`)
		if got := rowOf(t, b, row, err); got.Where.City != "Graz" || got.Where.Street != nil {
			t.Errorf("%s", row.JSON())
		}
		_, err = patch(t, b, row.Key(), `{"where":{"city":null}}`)
		wantRefused(t, "a null", err, "where.city", "must not be null")
		_, err = patch(t, b, row.Key(), `{"where":{"town":"x"}}`)
		wantRefused(t, "an unknown member", err, "where.town", "is no field of this binding")
		_, err = patch(t, b, row.Key(), `{"where":"x"}`)
		wantRefused(t, "no object", err, "where", "must be an object")
		_, err = patch(t, b, row.Key(), `{"where":{"city":7}}`)
		wantRefused(t, "a number", err, "where.city", "must not be a JSON number")
	})
}

// A write to a limited binding concerns the rows that it shows.
func TestWriteLimited(t *testing.T) {
	eachDeeds(t, func(t *testing.T, db *bun.DB, _ *core.Binding[deed]) {
		mustExec(t, db, `DELETE FROM deeds`)
		mustExec(t, db, `INSERT INTO deeds (id, name, amount) VALUES (1001, 'a', 10), (1002, 'b', 20), (1003, 'c', 30), (1004, 'd', 40)`)
		least := bindIn[deed](t, db, "least", core.Writable(), core.OrderBy("amount"), core.Limit(2))
		leaving := bindIn[deed](t, db, "leaving", core.Writable(core.WriteRules{RowsMayLeave: true}), core.Limit(2), core.OrderBy("amount"),
			Where(func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("amount > 0") }))
		for _, b := range []*core.Binding[deed]{least, leaving} {
			if _, err := patch(t, b, driver.KeyOf(1003), `{"name":"x"}`); !errors.Is(err, live.ErrNoRow) {
				t.Errorf("a row beyond the limit: %v", err)
			}
			if err := remove(t, b, driver.KeyOf(1004)); !errors.Is(err, live.ErrNoRow) {
				t.Errorf("deleting a row beyond the limit: %v", err)
			}
			if _, err := patch(t, b, driver.KeyOf(1002), `{"amount":25}`); err != nil {
				t.Errorf("a row that stays: %v", err)
			}
		}
		_, err := patch(t, least, driver.KeyOf(1002), `{"amount":50}`)
		wantRefused(t, "a row that goes beyond the limit", err, "", `the row would not be part of "least"`)
		_, err = post(t, least, `{"name":"e","amount":60}`)
		wantRefused(t, "a new row beyond the limit", err, "", `the row would not be part of "least"`)
		if _, err := patch(t, leaving, driver.KeyOf(1002), `{"amount":50}`); err != nil {
			t.Errorf("a row that may leave: %v", err)
		}
	})
}

func TestClientKeys(t *testing.T) {
	type ticket struct {
		bun.BaseModel `bun:"table:tickets"`
		ID            string `bun:",pk,type:uuid,default:gen_random_uuid()" json:"id"`
		Name          string `bun:",notnull" json:"name"`
	}
	eachWritable(t, func(t *testing.T, db *bun.DB) {
		id := "UUID PRIMARY KEY DEFAULT gen_random_uuid()"
		if isSQLite(db) {
			id = "TEXT PRIMARY KEY NOT NULL DEFAULT (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-8' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))))"
		}
		mustExec(t, db, `CREATE TABLE tickets (id `+id+`, name TEXT NOT NULL)`)
		closed := bindIn[ticket](t, db, "closed", core.Writable())
		open := bindIn[ticket](t, db, "open", core.Writable(core.WriteRules{ClientKeys: true}))
		const own = "6f1c8f2e-6f0e-4b9a-9d3a-0123456789ab"
		_, err := post(t, closed, `{"id":"`+own+`","name":"a"}`)
		wantRefused(t, "without ClientKeys", err, "id", "is made by the database and cannot be given")
		row, err := post(t, open, `{"id":"`+own+`","name":"a"}`)
		if got := rowOf(t, open, row, err); got.ID != own {
			t.Errorf("%+v", got)
		}
		_, err = post(t, open, `{"id":"`+own+`","name":"b"}`)
		wantRefused(t, "a key that is taken", err, "id", dberror.DetailTaken)
		row, err = post(t, open, `{"name":"c"}`)
		if got := rowOf(t, open, row, err); len(got.ID) != len(own) || got.ID == own {
			t.Errorf("a key by default: %+v", got)
		}
	})
}

// Bad values are told by the column, also where the database does not say.
func TestWriteNamesTheColumnOfABadValue(t *testing.T) {
	type thing struct {
		bun.BaseModel `bun:"table:things"`
		ID            int64   `bun:",pk,autoincrement" json:"id"`
		Mood          string  `json:"mood"`
		Addr          string  `json:"addr"`
		Doc           string  `json:"doc"`
		At            string  `json:"at"`
		Short         string  `json:"short"`
		Big           float64 `json:"big"`
		Hidden        string  `json:"hidden"`
	}
	db := loaderPostgres(t)
	mustExec(t, db, `CREATE TYPE mood AS ENUM ('good', 'bad')`)
	mustExec(t, db, `CREATE TABLE things (id BIGSERIAL PRIMARY KEY, mood mood DEFAULT 'good', addr INET, doc JSONB, at TIMESTAMP, short CHAR(3), big NUMERIC(5,2), hidden mood NOT NULL DEFAULT 'bad')`)
	b := bindIn[thing](t, db, "things", core.Writable(), core.Columns("id", "mood", "addr", "doc", "at", "short", "big"), core.Where(filter.NotNull("id")))
	const rest = `"mood":"good","addr":"10.0.0.1","doc":"{}","at":"2024-01-01","short":"abc","big":1.5`
	row, err := post(t, b, `{`+rest+`}`)
	if err != nil {
		t.Fatal(err)
	}
	for field, c := range map[string]struct{ value, detail string }{
		"mood":  {`"sad"`, dberror.DetailForm},
		"addr":  {`"nowhere"`, dberror.DetailForm},
		"doc":   {`"{"`, dberror.DetailForm},
		"at":    {`"300000-01-01"`, dberror.DetailRange},
		"short": {`"abcd"`, dberror.DetailTooLong},
		"big":   {`1234.5`, dberror.DetailRange},
	} {
		was := map[string]string{"mood": `"good"`, "addr": `"10.0.0.1"`, "doc": `"{}"`, "at": `"2024-01-01"`, "short": `"abc"`, "big": `1.5`}[field]
		body := `{` + strings.Replace(rest, `"`+field+`":`+was, `"`+field+`":`+c.value, 1) + `}`
		_, err := post(t, b, body)
		wantRefused(t, "insert", err, field, c.detail)
		_, err = patch(t, b, row.Key(), body)
		wantRefused(t, "update", err, field, c.detail)
	}
}
