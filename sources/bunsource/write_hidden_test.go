package bunsource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
)

// guarded has rules for columns that clients do not see.
type guarded struct {
	bun.BaseModel `bun:"table:guarded"`
	ID            int64   `bun:",pk" json:"id"`
	Name          string  `bun:",notnull" json:"name"`
	Owner         *string `bun:"owner,notnull" json:"owner"`
	Code          *string `bun:"code" json:"code"`
	Level         int64   `bun:"level,notnull" json:"level"`
	Shelf         *int64  `bun:"shelf_id" json:"shelf"`
}

// guardedHook is what the model's hook does to a row that is inserted.
var guardedHook func(*guarded)

// BeforeAppendModel implements [bun.BeforeAppendModelHook].
func (g *guarded) BeforeAppendModel(_ context.Context, q bun.Query) error {
	if _, ok := q.(*bun.InsertQuery); ok && guardedHook != nil {
		owner := "ann"
		g.Owner, g.Level = &owner, 1
		guardedHook(g)
	}
	return nil
}

// TestLogNamesHiddenColumns: a client is not told over which column its write was
// refused where it does not see the column, and the log is.
func TestLogNamesHiddenColumns(t *testing.T) {
	eachWritable(t, func(t *testing.T, db *bun.DB) {
		mustExec(t, db, `CREATE TABLE guarded (id BIGINT PRIMARY KEY, name TEXT NOT NULL, owner TEXT NOT NULL, code TEXT UNIQUE, level BIGINT NOT NULL CHECK (level >= 0),
			shelf_id BIGINT REFERENCES shelves (id), beyond TEXT NOT NULL DEFAULT 'x')`)
		mustExec(t, db, `INSERT INTO guarded (id, name, owner, code, level) VALUES (1, 'a', 'ann', 'x', 1)`)
		var log coretest.Output
		b := Bind[guarded](db, "guarded", core.Columns("id", "name"), core.Writable(core.WriteRules{ClientKeys: true}))
		reg := core.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}.NewRegistry()
		if err := errors.Join(reg.Add(b), reg.Watch(Hooks(db))); err != nil {
			t.Fatal(err)
		}
		startRegistry(t, reg)
		waitLoaded(t, b)
		id := 1
		for _, c := range []struct {
			column string
			change func(row *guarded)
		}{
			{"owner", func(g *guarded) { g.Owner = nil }},
			{"code", func(g *guarded) { g.Code = new("x") }},
			{"level", func(g *guarded) { g.Level = -1 }},
			{"shelf_id", func(g *guarded) { g.Shelf = new(int64(99)) }},
		} {
			id++
			before := len(log.String())
			guardedHook = c.change
			_, err := post(t, b, fmt.Sprintf(`{"id":%d,"name":"b"}`, id))
			var invalid *driver.InvalidError
			if !errors.As(err, &invalid) || strings.Contains(invalid.Error(), c.column) {
				t.Errorf("%s: the client is told %v", c.column, err)
			}
			if text := log.String()[before:]; !strings.Contains(text, "column="+c.column) {
				t.Errorf("%s: the log is told %s", c.column, text)
			}
		}
	})
}
