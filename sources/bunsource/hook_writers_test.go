package bunsource

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

// TestWriters: which functions may write, what calls them, and what passes writes on to
// other tables, is found in the catalogue.
func TestWriters(t *testing.T) {
	b := bindStatements(t, dialect.PG, false)
	for _, s := range []string{
		`CREATE FUNCTION dynamic(s text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE s; END $$`,
		`CREATE FUNCTION add_up(int, int) RETURNS int LANGUAGE sql AS $$ SELECT $1 + writes_items($2) $$`,
		`CREATE AGGREGATE total_written(int) (sfunc = add_up, stype = int, initcond = '0')`,
		`CREATE VIEW plain_view AS SELECT only_reads(1) AS x`,
		`CREATE VIEW view_on_view AS SELECT * FROM writing_view`,
	} {
		mustExec(t, b.plain, s)
	}
	found, err := writers(t.Context(), b.plain)
	must(t, b.reg, err)
	want := map[string]sqltext.Mention{
		"writes_items": sqltext.MentionedAsCall, "calls_it": sqltext.MentionedAsCall, "row_writes": sqltext.MentionedAsField, "writing_view": sqltext.MentionedAnywhere,
		"dynamic": sqltext.MentionedAsCall, "add_up": sqltext.MentionedAsCall, "total_written": sqltext.MentionedAsCall, "view_on_view": sqltext.MentionedAnywhere,
		"plain_view": sqltext.MentionedAsTarget,
	}
	if !maps.Equal(found, want) {
		t.Errorf("found %v", slices.Sorted(maps.Keys(found)))
	}
}

// TestFunctionsDefinedLive: a function that the program defines counts as one that may
// write from then on, also where it was not there before.
func TestFunctionsDefinedLive(t *testing.T) {
	b := bindStatements(t, dialect.PG, false)
	mustExec(t, b.db, `INSERT INTO items (id) VALUES (1)`)
	mustExec(t, b.db, `CREATE FUNCTION brand_new() RETURNS int LANGUAGE sql AS $$ UPDATE items SET n = n + 1 RETURNING n $$`)
	for range 3 {
		mustExec(t, b.db, `SELECT brand_new()`)
		if d := b.check(t); d != "" {
			t.Fatal(d)
		}
	}
	err := b.db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.ExecContext(ctx, `SELECT brand_new()`)
		return err
	})
	must(t, b.reg, err)
	if d := b.check(t); d != "" {
		t.Fatal(d)
	}
}
