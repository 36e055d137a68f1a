package bunsource

import (
	"errors"
	"slices"
	"testing"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
)

// oddText has columns that hold texts and are no plain text columns.
type oddText struct {
	bun.BaseModel `bun:"table:odd_texts"`
	ID            int64  `bun:",pk"`
	Loose         string `bun:"loose"` // its collation finds different texts equal
	Padded        string `bun:"padded"`
	Mood          string `bun:"mood"` // an enumeration
}

// TestSearchOfOddColumns searches columns whose own comparison is another one, or an
// error.
func TestSearchOfOddColumns(t *testing.T) {
	for name, tt := range map[string]struct {
		open   func(testing.TB) *bun.DB
		create []string
	}{
		"sqlite": {
			func(t testing.TB) *bun.DB { return loaderSQLite(t) },
			[]string{`CREATE TABLE odd_texts (id INTEGER PRIMARY KEY, loose TEXT COLLATE NOCASE, padded CHAR(5), mood TEXT)`},
		},
		"postgres": {
			func(t testing.TB) *bun.DB { return loaderPostgres(t) },
			[]string{
				`CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
				`CREATE TYPE mood AS ENUM ('glad', 'sad', 'Glum')`,
				`CREATE TABLE odd_texts (id bigint PRIMARY KEY, loose text COLLATE loose, padded char(5), mood mood)`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := tt.open(t)
			for _, statement := range tt.create {
				mustExec(t, db, statement)
			}
			rows := []oddText{{ID: 1, Loose: "Apple", Padded: "ab", Mood: "glad"}, {ID: 2, Loose: "apple", Padded: "abc", Mood: "Glum"}, {ID: 3, Loose: "pineAPPLE", Padded: "b", Mood: "sad"}}
			if _, err := db.NewInsert().Model(&rows).Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
			l := preparedLoader[oddText](t, db)
			for _, tt := range []struct {
				e    filter.Expr
				want []int64
			}{
				{filter.Contains("loose", "App"), []int64{1}},
				{filter.HasPrefix("loose", "app"), []int64{2}},
				{filter.ContainsFold("loose", "APP"), []int64{1, 2, 3}},
				{filter.HasPrefixFold("loose", "APP"), []int64{1, 2}},
				{filter.Not(filter.Contains("loose", "pp")), []int64{3}},
				{filter.HasPrefix("padded", "ab"), []int64{1, 2}},
				{filter.Contains("mood", "l"), []int64{1, 2}},
				{filter.HasPrefixFold("mood", "GL"), []int64{1, 2}},
				{filter.HasPrefix("mood", "gl"), []int64{1}},
				{filter.HasPrefix("mood", ""), []int64{1, 2, 3}},
			} {
				found, err := l.Query(t.Context(), driver.Query{Filter: tt.e})
				if err != nil {
					t.Errorf("%s: %v", tt.e, err)
					continue
				}
				var got []int64
				for _, r := range found {
					got = append(got, r.ID)
				}
				slices.Sort(got)
				if !slices.Equal(got, tt.want) {
					t.Errorf("%s: got %v, want %v", tt.e, got, tt.want)
				}
			}
		})
	}
}

// jotting has texts in more than ASCII.
type jotting struct {
	bun.BaseModel `bun:"table:notes"`
	ID            int64  `bun:",pk" json:"id"`
	Text          string `bun:"text,notnull" json:"text"`
}

// TestSearchesAreLive changes rows under members of a search box, which Go decides in
// SQLite and the database in Postgres: in Go's eyes "Ä" and "ä" are two letters.
func TestSearchesAreLive(t *testing.T) {
	for name, tt := range map[string]struct {
		open  func(testing.TB) *bun.DB
		typ   string
		folds bool // beyond ASCII
	}{
		"sqlite":   {func(t testing.TB) *bun.DB { return loaderSQLite(t) }, "TEXT", false},
		"postgres": {func(t testing.TB) *bun.DB { return loaderPostgres(t) }, `TEXT COLLATE "en-x-icu"`, true},
	} {
		t.Run(name, func(t *testing.T) {
			db := tt.open(t)
			mustExec(t, db, `CREATE TABLE notes (id BIGINT PRIMARY KEY, text `+tt.typ+` NOT NULL)`)
			mustExec(t, db, `INSERT INTO notes VALUES (1, 'Käse'), (2, 'KÄSE 100%'), (3, 'Tea')`)
			fam := BindFamily[jotting](db, "notes", core.Where(filter.ContainsFold("text", filter.Param("q").Optional())))
			reg := quietRegistry()
			if err := errors.Join(reg.Add(fam), reg.Watch(Hooks(db))); err != nil {
				t.Fatal(err)
			}
			startRegistry(t, reg)
			members := map[string]*core.Member[jotting]{}
			for _, q := range []string{"", "käse", "TEA", "0%", "_"} {
				m, err := fam.Open(t.Context(), core.Args{"q": q})
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				members[q] = m
			}
			check := func(want map[string][]int64) {
				t.Helper()
				if err := reg.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				for q, ids := range want {
					var got []int64
					for n := range members[q].All() {
						got = append(got, n.ID)
					}
					if !slices.Equal(got, ids) {
						t.Errorf("%q: got %v, want %v", q, got, ids)
					}
				}
			}
			both := func(ids ...int64) []int64 {
				if tt.folds {
					return ids
				}
				return ids[:1]
			}
			check(map[string][]int64{"": {1, 2, 3}, "käse": both(1, 2), "TEA": {3}, "0%": {2}, "_": nil})
			for _, change := range []string{`UPDATE notes SET text = 'a_b' WHERE id = 3`, `INSERT INTO notes VALUES (4, 'green tea')`, `DELETE FROM notes WHERE id = 2`} {
				if _, err := db.ExecContext(t.Context(), change); err != nil {
					t.Fatal(err)
				}
			}
			check(map[string][]int64{"": {1, 3, 4}, "käse": {1}, "TEA": {4}, "0%": nil, "_": {3}})
		})
	}
}
