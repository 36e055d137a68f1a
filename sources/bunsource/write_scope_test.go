package bunsource

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
)

// note is a row of one of several tenants.
type note struct {
	bun.BaseModel `bun:"table:notes"`
	ID            int64  `bun:",pk,autoincrement" json:"id"`
	Tenant        string `bun:",notnull" json:"tenant"`
	Code          string `bun:",notnull" json:"code"`
}

// eachNotes runs a test with two bindings of ann's notes: one in memory, one
// that the database evaluates.
func eachNotes(t *testing.T, test func(t *testing.T, db *bun.DB, grants map[string]func() *core.Grant)) {
	t.Helper()
	eachWritable(t, func(t *testing.T, db *bun.DB) {
		id := "BIGSERIAL PRIMARY KEY"
		if isSQLite(db) {
			id = "INTEGER PRIMARY KEY AUTOINCREMENT"
		}
		mustExec(t, db, `CREATE TABLE notes (id `+id+`, tenant TEXT NOT NULL, code TEXT NOT NULL UNIQUE)`)
		mustExec(t, db, `INSERT INTO notes VALUES (101, 'ann', 'a'), (102, 'bob', 'b')`)
		reg := quietRegistry()
		exact := Bind[note](db, "exact", core.Writable(core.WriteRules{ClientKeys: true}))
		asked := Bind[note](db, "asked", core.Writable(core.WriteRules{ClientKeys: true}), Where(func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("1 = 1") }))
		err := errors.Join(reg.Add(exact, asked), reg.Watch(Hooks(db)), reg.Authorize(core.AuthorizerFunc(func(context.Context, core.Access) (core.Decision, error) {
			return core.AllowWhere(filter.Eq("tenant", "ann")), nil
		})))
		if err != nil {
			t.Fatal(err)
		}
		startRegistry(t, reg)
		grants := map[string]func() *core.Grant{}
		for _, name := range []string{"exact", "asked"} {
			grants[name] = func() *core.Grant {
				t.Helper()
				g, err := reg.Open(t.Context(), name, nil)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(g.Close)
				<-g.View().Loaded()
				return g
			}
		}
		test(t, db, grants)
	})
}

// Somebody else's row is not waited for: that would tell that it is there.
func TestNoLockIsWaitedForOutsideTheScope(t *testing.T) {
	eachNotes(t, func(t *testing.T, db *bun.DB, grants map[string]func() *core.Grant) {
		for name, open := range grants {
			g := open()
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.ExecContext(t.Context(), `UPDATE notes SET code = 'held' WHERE id = 102`); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			for _, id := range []int64{102, 999} { // there, and nowhere
				for _, w := range []live.Write{
					{Op: live.Merge, Key: driver.KeyOf(id), Body: []byte(`{"code":"x"}`)},
					{Op: live.Replace, Key: driver.KeyOf(id), Body: []byte(`{"tenant":"ann","code":"x"}`)},
					{Op: live.Delete, Key: driver.KeyOf(id)},
				} {
					if _, err := g.Write(ctx, w); !errors.Is(err, live.ErrNoRow) {
						t.Errorf("%s: row %d while another writes: %v", name, id, err)
					}
				}
			}
			// Nor is what would lie outside tried.
			for _, w := range []live.Write{
				{Op: live.Insert, Body: []byte(`{"id":102,"tenant":"bob","code":"n"}`)},
				{Op: live.Insert, Body: []byte(`{"tenant":"bob","code":"held"}`)},
			} {
				_, err := g.Write(ctx, w)
				wantRefused(t, name+": an insert outside while another writes", err, "", `the row would not be part of "`+name+`"`)
			}
			cancel()
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// What lies outside is refused as such, whatever constraint it breaks.
func TestScopeAnswersBeforeConstraints(t *testing.T) {
	eachNotes(t, func(t *testing.T, _ *bun.DB, grants map[string]func() *core.Grant) {
		for name, open := range grants {
			g := open()
			for _, code := range []string{"b", "free"} { // of bob's, and of nobody's
				_, err := g.Write(t.Context(), live.Write{Op: live.Merge, Key: driver.KeyOf(101), Body: []byte(`{"tenant":"bob","code":"` + code + `"}`)})
				wantRefused(t, name+": an update to "+code, err, "", `the row would not be part of "`+name+`"`)
				_, err = g.Write(t.Context(), live.Write{Op: live.Replace, Key: driver.KeyOf(101), Body: []byte(`{"tenant":"bob","code":"` + code + `"}`)})
				wantRefused(t, name+": a replacement by "+code, err, "", `the row would not be part of "`+name+`"`)
				_, err = g.Write(t.Context(), live.Write{Op: live.Insert, Body: []byte(`{"tenant":"bob","code":"` + code + `"}`)})
				wantRefused(t, name+": an insert of "+code, err, "", `the row would not be part of "`+name+`"`)
			}
		}
	})
}
