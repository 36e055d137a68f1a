package bunsource

import (
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/keyproof"
	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

// nullSink takes reports and does nothing with them.
type nullSink struct {
	schemas  []driver.Schema
	changed  chan struct{}
	watching chan struct{}
}

func (s *nullSink) Tables() ([]driver.Schema, <-chan struct{}) { return s.schemas, s.changed }

func (s *nullSink) Report(...driver.Change) driver.Receipt { return nil }

func (s *nullSink) Announce(...driver.Change) driver.Announcement { return nullAnnouncement{} }

func (s *nullSink) Watching() { close(s.watching) }

func (s *nullSink) Lost(error) {}

type nullAnnouncement struct{}

func (nullAnnouncement) Confirm(...driver.Change) driver.Receipt { return nil }

func (nullAnnouncement) Withdraw() {}

// BenchmarkInsert measures what watching costs a writer that does not wait:
// an INSERT of one row by Bun, with a key that the database makes, into an
// SQLite database on disk without fsync.
func BenchmarkInsert(b *testing.B) {
	for _, mode := range []string{"plain", "hook", "hooked"} {
		b.Run(mode, func(b *testing.B) {
			db, plain := openHookDB(b, dialect.SQLite, mode == "hooked", "_pragma=synchronous(OFF)")
			createTable[hookItem](b, plain)
			if mode != "plain" {
				sink := &nullSink{schemas: []driver.Schema{hookSchema[hookItem](b, plain)}, changed: make(chan struct{}), watching: make(chan struct{})}
				benchWatch(b, db, sink)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := db.NewInsert().Model(&hookItem{Name: "new", Price: 5}).Exec(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchWatch(b *testing.B, db *bun.DB, sink *nullSink) {
	b.Helper()
	done := make(chan error, 1)
	ctx := b.Context()
	source := Hooks(db, HooksConfig{Async: true})
	go func() { done <- source.Watch(ctx, sink) }()
	b.Cleanup(func() { <-done })
	<-sink.watching
}

// BenchmarkJudge measures the reading of SQL text alone.
func BenchmarkJudge(b *testing.B) {
	schema := testTable(keyColumn("id", 2, 3))
	match := func(sqltext.Table) []*driver.Schema { return []*driver.Schema{schema} }
	for name, query := range map[string]string{
		"select": `SELECT "t"."id", "t"."name" FROM "t" WHERE "t"."id" = 5 ORDER BY "t"."name" LIMIT 10`,
		"insert": `INSERT INTO "t" ("id", "name", "price") VALUES (DEFAULT, 'a name of some length', 12345) RETURNING "id"`,
		"update": `UPDATE "t" AS "t" SET "name" = 'a name of some length', "price" = 12345 WHERE ("t"."id" = 5)`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p := sqltext.Parse(query, sqltext.Postgres); p != nil {
					keyproof.Of(p, match, nil)
					p.Release()
				}
			}
		})
	}
}
