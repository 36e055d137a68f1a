package bunsource

import (
	"context"
	"fmt"
	"io"
	"log/slog"
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
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

type shopItem struct {
	bun.BaseModel `bun:"table:shop_items,alias:i"`
	ID            int64   `bun:",pk,autoincrement"`
	Name          string  `bun:",notnull"`
	Price         int64   `bun:",notnull"`
	Note          *string `bun:"note"`
}

// A table that was dropped and made anew with other types is bound again, over the same
// handle, by what it is now.
func TestTableMadeAnewIsBoundAnew(t *testing.T) {
	eachOpened(t, func(t *testing.T, db *bun.DB) {
		type thing struct {
			bun.BaseModel `bun:"table:things"`
			ID            int64  `bun:",pk"`
			Mark          string `bun:",notnull"`
		}
		for _, typ := range []string{"json", "text"} {
			mustExec(t, db, "CREATE TABLE things (id bigint NOT NULL PRIMARY KEY, mark "+typ+" NOT NULL)")
			mustExec(t, db, `INSERT INTO things VALUES (1, '"a"')`)
			reg := core.NewRegistry()
			if err := reg.Add(Bind[thing](db, "things")); err != nil {
				t.Fatal(err)
			}
			if typ == "text" { // json cannot be compared
				if err := reg.Add(BindFamily[thing](db, "marked", core.Where(filter.Eq("mark", filter.Param("note"))))); err != nil {
					t.Fatal(err)
				}
			}
			if err := reg.Start(t.Context()); err != nil {
				t.Fatalf("with %s: %v", typ, err)
			}
			view, _ := reg.Lookup("things")
			<-view.Loaded()
			if typ == "text" {
				g, err := reg.Open(t.Context(), "marked", core.Args{"note": `"a"`})
				if err != nil {
					t.Fatal(err)
				}
				<-g.View().Loaded()
				if n := g.View().Len(); n != 1 {
					t.Errorf("%d rows", n)
				}
				g.Close()
			}
			if err := reg.Shutdown(context.Background()); err != nil {
				t.Fatal(err)
			}
			mustExec(t, db, "DROP TABLE things")
		}
	})
}

// eachOpened runs a test on databases whose commits are seen.
func eachOpened(t *testing.T, test func(t *testing.T, db *bun.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		db, err := Open("sqlite", "file:"+filepath.Join(t.TempDir(), "test.db")+"?_pragma=busy_timeout(60000)&"+walMode, sqlitedialect.New())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		test(t, db)
	})
	t.Run("postgres", func(t *testing.T) {
		db, err := Open("pgx", pgtest.Shared(t).CreateDatabase(t), pgdialect.New())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		test(t, db)
	})
}

func quietRegistry() *core.Registry {
	return core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), LoadWait: -1}.NewRegistry()
}

func startRegistry(t *testing.T, reg *core.Registry) {
	t.Helper()
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		if err := reg.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
}

func waitLoaded(t *testing.T, views ...interface{ Loaded() <-chan struct{} }) {
	t.Helper()
	for _, v := range views {
		select {
		case <-v.Loaded():
		case <-time.After(60 * time.Second):
			t.Fatal("a binding does not load")
		}
	}
}

// What a binding shows is what its query finds, after every kind of write, also
// where the pool has one connection only.
func TestBindingsShowTheirQuery(t *testing.T) {
	eachOpened(t, func(t *testing.T, db *bun.DB) {
		for _, conns := range []int{1, 4} {
			t.Run(fmt.Sprintf("connections=%d", conns), func(t *testing.T) {
				db.SetMaxOpenConns(conns)
				mustExec(t, db, "DROP TABLE IF EXISTS shop_items")
				createTable(t, db, shopItem{Name: "b", Price: 2}, shopItem{Name: "B", Price: 1}, shopItem{Name: "ä", Price: 3})
				all := Bind[shopItem](db, "all", core.OrderBy("name"))
				cheap := Bind[shopItem](db, "cheap", core.Where(filter.Lt("price", 3)), core.OrderBy("-price"))
				first := Bind[shopItem](db, "first", core.OrderBy("name"), core.Limit(2))
				opaque := Bind[shopItem](db, "opaque", Where(func(q *bun.SelectQuery) *bun.SelectQuery {
					return q.Where("lower(name) = ?", "b").WhereOr("note IS NOT NULL")
				}))
				reg := quietRegistry()
				if err := reg.Add(all, cheap, first, opaque); err != nil {
					t.Fatal(err)
				}
				if err := reg.Watch(Hooks(db)); err != nil {
					t.Fatal(err)
				}
				startRegistry(t, reg)
				waitLoaded(t, all, cheap, first, opaque)
				show := func(b *core.Binding[shopItem]) string {
					var names []string
					for i := range b.All() {
						names = append(names, i.Name)
					}
					return strings.Join(names, " ")
				}
				expect := func(after, wantAll, wantCheap, wantFirst, wantOpaque string) {
					t.Helper()
					if err := reg.Flush(t.Context()); err != nil {
						t.Fatal(err)
					}
					got := fmt.Sprintf("%s | %s | %s | %s", show(all), show(cheap), show(first), show(opaque))
					want := fmt.Sprintf("%s | %s | %s | %s", wantAll, wantCheap, wantFirst, wantOpaque)
					if got != want {
						t.Errorf("after %s: %s, want %s", after, got, want)
					}
				}
				expect("the first load", "B b ä", "b B", "B b", "b B")
				ctx := t.Context()
				note := "n"
				if _, err := db.NewInsert().Model(&shopItem{Name: "A", Price: 0, Note: &note}).Exec(ctx); err != nil {
					t.Fatal(err)
				}
				expect("an insert", "A B b ä", "b B A", "A B", "b B A")
				err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
					if _, err := tx.NewUpdate().Model((*shopItem)(nil)).Set("price = price + 2").Where("name <> ?", "A").Exec(ctx); err != nil {
						return err
					}
					_, err := tx.NewDelete().Model((*shopItem)(nil)).Where("name = ?", "B").Exec(ctx)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				expect("a transaction", "A b ä", "A", "A b", "b A")
			})
		}
	})
}

// A table that is made later is bound when it is there.
func TestBindingsWaitForTheirTable(t *testing.T) {
	eachOpened(t, func(t *testing.T, db *bun.DB) {
		b := Bind[shopItem](db, "items")
		reg := quietRegistry()
		if err := reg.Add(b); err != nil {
			t.Fatal(err)
		}
		if err := reg.Watch(Hooks(db)); err != nil {
			t.Fatal(err)
		}
		startRegistry(t, reg)
		deadline := time.Now().Add(60 * time.Second)
		for b.Status().Err == nil {
			if time.Now().After(deadline) {
				t.Fatal("the failure does not show")
			}
			time.Sleep(time.Millisecond)
		}
		if err := b.Status().Err; !strings.Contains(err.Error(), `preparing table "shop_items": it does not exist`) {
			t.Errorf("failure: %v", err)
		}
		createTable(t, db, shopItem{Name: "late"})
		waitFor(t, "its row", func() bool { return b.Len() == 1 }) // the table may be read before it has one
	})
}

// The loader's own statements are reads: nothing is reported because of them.
func TestReadsReportNothing(t *testing.T) {
	eachOpened(t, func(t *testing.T, db *bun.DB) {
		createTable(t, db, shopItem{Name: "a"})
		l := preparedLoader[shopItem](t, db)
		s, err := l.Schema()
		if err != nil {
			t.Fatal(err)
		}
		sink := newFakeSink(nil, s)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- Hooks(db).Watch(ctx, sink) }()
		<-sink.watching
		snap, release, err := openedIn(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		for _, ctx := range []context.Context{snap, t.Context()} {
			if _, err := l.Load(ctx, []driver.Key{driver.KeyOf(1)}); err != nil {
				t.Fatal(err)
			}
		}
		release()
		if err := NewLoader[shopItem](db).refine(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if len(sink.reports) > 0 || len(sink.open) > 0 {
			t.Errorf("reports %v, announcements %v", sink.reports, sink.open)
		}
	})
}
