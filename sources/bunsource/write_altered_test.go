package bunsource_test

import (
	"testing"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pgsource"
)

// TestWritesAfterAlteration: a session of Postgres's goes on to use the plans that it
// has made for its triggers, also when a column has another type by now, and every
// write over it would fail.
func TestWritesAfterAlteration(t *testing.T) {
	dsn := postgresDSN(t)
	plain := openPlain(t, "pgx", dsn)
	mustRun(t, plain, `CREATE TABLE altered (id bigint PRIMARY KEY, name text NOT NULL);
		INSERT INTO altered VALUES (1, 'one');
		CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.name = 'no' THEN RAISE 'no'; END IF; RETURN new; END $$;
		CREATE TRIGGER look BEFORE UPDATE ON altered FOR EACH ROW EXECUTE FUNCTION look()`)
	type row struct {
		bun.BaseModel `bun:"table:altered"`
		ID            int64  `bun:",pk" json:"id"`
		Name          string `json:"name"`
	}
	reg := core.NewRegistry()
	all := bunsource.Bind[row](plain, "all", core.Writable())
	must(t, reg.Add(all))
	must(t, reg.Watch(pgsource.New(dsn)))
	must(t, reg.Start(t.Context()))
	defer shutdown(t, reg)
	view, _ := reg.Lookup("all")
	<-view.Loaded()
	for _, typ := range []string{"text", "varchar(20)", "text", "varchar(30)"} {
		mustRun(t, openPlain(t, "pgx", dsn), "ALTER TABLE altered ALTER COLUMN name TYPE "+typ)
		for range 2 {
			if _, err := all.Write(t.Context(), live.Write{Op: live.Merge, Key: driver.KeyOf(int64(1)), Body: []byte(`{"name":"` + typ + `"}`)}); err != nil {
				t.Errorf("%s: %v", typ, err)
			}
		}
	}
}
