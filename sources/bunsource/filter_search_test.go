package bunsource

import (
	"slices"
	"testing"

	"github.com/uptrace/bun"

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
