package bunsource

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/bunsource/internal/sqlgen"
	"github.com/binderyhq/bindery/sources/sourcetest/buntest"
)

func TestBindingsShareALoader(t *testing.T) {
	db, other := buntest.Offline(t, sqlitedialect.New()), buntest.Offline(t, sqlitedialect.New())
	shared := sharedLoader[left](db)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if l := sharedLoader[left](db); l != shared {
				t.Error("two loaders of one model over one db")
			}
		})
	}
	wg.Wait()
	if sharedLoader[left](other) == shared {
		t.Error("one loader over two dbs")
	}
	if any(sharedLoader[right](db)) == any(shared) {
		t.Error("one loader of two models")
	}
	b := Bind[left](db, "lefts", core.OrderBy("-id"))
	if b.Name() != "lefts" {
		t.Errorf("name %q", b.Name())
	}
	runtime.KeepAlive(shared)
}

// A program that opens many databases must not keep them all.
func TestLoadersAreLetGo(t *testing.T) {
	count := func() (n int) {
		loaders.Range(func(k, _ any) bool {
			if k.(loaderKey).typ.Name() == "forgotten" {
				n++
			}
			return true
		})
		return n
	}
	type forgotten struct {
		ID int64 `bun:",pk"`
	}
	for range 10 {
		sharedLoader[forgotten](bun.NewDB(nil, sqlitedialect.New()))
	}
	deadline := time.Now().Add(60 * time.Second)
	for count() > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d loaders are still held", count())
		}
		runtime.GC()
		runtime.Gosched()
	}
}

func TestWhereText(t *testing.T) {
	when := time.Date(2024, 5, 6, 7, 8, 9, 0, time.FixedZone("", 3600))
	db := buntest.Offline(t, sqlitedialect.New())
	for name, c := range map[string]struct {
		apply func(*bun.SelectQuery) *bun.SelectQuery
		want  string
	}{
		"conditions": {func(q *bun.SelectQuery) *bun.SelectQuery {
			return q.Where("price < ?", 10).WhereOr("name IN (?)", bun.List([]string{"a", "it's"}))
		}, `(price < 10) OR (name IN ('a', 'it''s'))`},
		"a group": {func(q *bun.SelectQuery) *bun.SelectQuery {
			return q.Where("?TableAlias.at > ?", when).WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
				return q.Where("a").WhereOr("b")
			})
		}, `("row".at > '2024-05-06 06:08:09+00:00') AND ((a) OR (b))`},
		"a subquery": {func(q *bun.SelectQuery) *bun.SelectQuery {
			return q.Where("id IN (?)", db.NewSelect().Model((*left)(nil)).Where("id > 5"))
		}, `(id IN (SELECT "left"."id" FROM "lefts" AS "left" WHERE (id > 5)))`},
		"deleted rows": {(*bun.SelectQuery).WhereDeleted, `"row"."deleted_at" IS NOT NULL`},
		"nothing":      {func(q *bun.SelectQuery) *bun.SelectQuery { return q }, ``},
	} {
		got := sqlgen.NewCondition(c.apply)
		if got.Err != nil || got.Text != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got.Text, got.Err, c.want)
		}
	}
}

// What is no condition would be lost, or break other parts of the query.
func TestWhereRefusesOtherThanConditions(t *testing.T) {
	db := buntest.Offline(t, sqlitedialect.New())
	type apply = func(*bun.SelectQuery) *bun.SelectQuery
	for name, f := range map[string]apply{
		"nil":         nil,
		"join":        func(q *bun.SelectQuery) *bun.SelectQuery { return q.Join("JOIN b ON b.id = a.id").Where("b.x") },
		"column":      func(q *bun.SelectQuery) *bun.SelectQuery { return q.Column("a").Where("x") },
		"table":       func(q *bun.SelectQuery) *bun.SelectQuery { return q.TableExpr("other").Where("x") },
		"model table": func(q *bun.SelectQuery) *bun.SelectQuery { return q.ModelTableExpr("other") },
		"relation":    func(q *bun.SelectQuery) *bun.SelectQuery { return q.Relation("Author") },
		"distinct":    func(q *bun.SelectQuery) *bun.SelectQuery { return q.Distinct().Where("x") },
		"order":       func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("x").Order("a") },
		"limit":       func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("x").Limit(5) },
		"offset":      func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("x").Offset(9) },
		"group":       func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("x").Group("a") },
		"having":      func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("x").Having("a") },
		"for update":  func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("x").For("UPDATE") },
		"union":       func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("x").Union(db.NewSelect().ColumnExpr("1")) },
		"with": func(q *bun.SelectQuery) *bun.SelectQuery {
			return q.With("w", db.NewSelect().ColumnExpr("1")).Where("x")
		},
		"another query": func(*bun.SelectQuery) *bun.SelectQuery { return db.NewSelect().Where("x") },
		"no query":      func(*bun.SelectQuery) *bun.SelectQuery { return nil },
		"an error":      func(q *bun.SelectQuery) *bun.SelectQuery { return q.Err(fmt.Errorf("no")) },
		"a panic":       func(*bun.SelectQuery) *bun.SelectQuery { panic("no") },
	} {
		c := sqlgen.NewCondition(f)
		if c.Err == nil || !strings.Contains(c.Err.Error(), "bunsource.Where") {
			t.Errorf("%s: text %q, error %v", name, c.Text, c.Err)
		}
	}
}

func TestAWrongConditionIsReportedAtStart(t *testing.T) {
	reg := quietRegistry()
	bad := Bind[shopItem](buntest.Offline(t, sqlitedialect.New()), "bad", Where(func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("x").Limit(5) }))
	if err := reg.Add(bad); err != nil {
		t.Fatal(err)
	}
	err := reg.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), `binding "bad" (bind_test.go:`) || !strings.Contains(err.Error(), "it may add conditions") {
		t.Errorf("Start: %v", err)
	}
	_ = reg.Shutdown(t.Context())
}
