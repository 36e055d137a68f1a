package bunsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/sources/bunsource/internal/dberror"
)

func TestWriteDefaultsAndZeroes(t *testing.T) {
	eachWritable(t, func(t *testing.T, db *bun.DB) {
		b := bindWares(t, db)
		res, err := post(t, b, `{"name":"a","price":1.5}`)
		w := rowOf(t, b, res, err)
		if w.ID == 0 || w.Stock != 7 || !w.Active || w.Note == nil || *w.Note != "none" || w.Price != 1.5 || !w.Touched.Equal(wareTouched) {
			t.Errorf("defaults: %+v", w)
		}
		// Whoever names a column means the value, and the null.
		res, err = post(t, b, `{"name":"","price":0,"stock":0,"active":false,"note":null,"small":0,"tag":""}`)
		w = rowOf(t, b, res, err)
		if w.Stock != 0 || w.Active || w.Note != nil || w.Price != 0 || w.Name != "" {
			t.Errorf("zeroes: %s", res.JSON())
		}
		if got := rawWare(t, db, "CASE WHEN note IS NULL AND tag IS NULL AND NOT active THEN 'as named' ELSE 'otherwise' END", res.Key()); got != "as named" {
			t.Errorf("zeroes are written %s", got)
		}
		res, err = patch(t, b, res.Key(), `{"stock":3,"active":true,"note":"x","tag":"t"}`)
		if w = rowOf(t, b, res, err); w.Stock != 3 || !w.Active || *w.Note != "x" || w.Tag != "t" {
			t.Errorf("patched: %s", res.JSON())
		}
		res, err = patch(t, b, res.Key(), `{"stock":0,"active":false,"note":null}`)
		if w = rowOf(t, b, res, err); w.Stock != 0 || w.Active || w.Note != nil || w.Tag != "t" {
			t.Errorf("patched to zeroes: %s", res.JSON())
		}
		res, err = put(t, b, res.Key(), `{"name":"b","price":2}`)
		w = rowOf(t, b, res, err)
		if w.Name != "b" || w.Shelf != nil {
			t.Errorf("replaced: %s", res.JSON())
		}
		if db.Dialect().Name() == dialect.PG && (w.Stock != 7 || !w.Active || w.Note == nil || *w.Note != "none") {
			t.Errorf("replaced, the rest at its default: %s", res.JSON())
		}
		if _, err := patch(t, b, res.Key(), `{}`); err != nil {
			t.Errorf("a patch of nothing: %v", err)
		}
		if _, err := post(t, b, `{"id":77,"name":"a","price":1}`); err == nil {
			t.Error("a generated key was accepted")
		}
		if _, err := b.Write(t.Context(), live.Write{Op: live.Delete, Key: res.Key()}); err != nil {
			t.Error(err)
		}
		if _, ok := b.Snapshot().Get(res.Key()); ok {
			t.Error("a deleted row is shown")
		}
	})
}

// What the database refuses is worded for clients, names the field, and leaves
// nothing behind.
func TestWriteViolations(t *testing.T) {
	eachWritable(t, func(t *testing.T, db *bun.DB) {
		b := bindWares(t, db)
		first, err := post(t, b, `{"name":"a","price":1,"code":"A"}`)
		rowOf(t, b, first, err)
		for _, c := range []struct{ field, value, detail string }{
			{"code", `"A"`, dberror.DetailTaken},
			{"price", `-1`, dberror.DetailCheck},
			{"price", `123456789012`, dberror.DetailRange},
			{"price", `99999999.995`, dberror.DetailRange},
			{"price", `1e400`, "number 1e400 is out of range, or not of the column's type"},
			{"shelf", `9`, dberror.DetailReference},
			{"small", `40000`, dberror.DetailRange},
			{"name", `"` + strings.Repeat("ü", 21) + `"`, dberror.DetailTooLong},
			{"name", `null`, dberror.DetailNull},
			{"name", `"a\u0000b"`, dberror.DetailForm},
			{"serial", `"not a uuid"`, dberror.DetailForm},
			{"day", `"no day"`, dberror.DetailForm},
			{"name", `"refused by the hook"`, "is refused"},
		} {
			if db.Dialect().Name() == dialect.SQLite && slices.Contains([]string{dberror.DetailForm, dberror.DetailTooLong, dberror.DetailRange}, c.detail) &&
				c.field != "price" && !strings.Contains(c.value, `\u`) {
				continue // SQLite keeps what it is given
			}
			check := func(how, field string, err error) {
				t.Helper()
				var invalid *driver.InvalidError
				if !errors.As(err, &invalid) || len(invalid.Fields) != 1 || invalid.Fields[0].Field != field || c.detail != "" && invalid.Fields[0].Detail != c.detail {
					t.Errorf("%s with %s %s: %v, want %q", how, c.field, c.value, err, c.detail)
					return
				}
				for _, word := range []string{"SQLSTATE", "constraint", "wares", "SQLITE", "parsing"} {
					if strings.Contains(err.Error(), word) {
						t.Errorf("%s with %s %s: the driver's words: %v", how, c.field, c.value, err)
					}
				}
			}
			fields := map[string]json.RawMessage{"name": json.RawMessage(`"b"`), "price": json.RawMessage(`1`)}
			fields[c.field] = json.RawMessage(c.value)
			body, err := json.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}
			_, err = post(t, b, string(body))
			check("POST", c.field, err)
			if c.detail != dberror.DetailTaken {
				_, err = patch(t, b, first.Key(), `{"`+c.field+`":`+c.value+`}`)
				check("PATCH", c.field, err)
			}
		}
		if b.Len() != 1 {
			t.Errorf("%d rows are left", b.Len())
		}
		if n, err := db.NewSelect().Model((*ware)(nil)).Count(t.Context()); n != 1 || err != nil {
			t.Errorf("%d rows in the table, %v", n, err)
		}
		// What fits is not refused.
		for _, value := range []string{
			`"price":99999999.99`, `"price":99999999.994`, `"small":-32768`, `"name":"` + strings.Repeat("ü", 20) + `"`,
			`"serial":"{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}"`, `"shelf":1`, `"day":"2020-02-29"`,
		} {
			if _, err := patch(t, b, first.Key(), "{"+value+"}"); err != nil {
				t.Errorf("%s: %v", value, err)
			}
		}
	})
}

// A write is confined to the binding, before and after, as the transaction
// itself sees it.
func TestWriteConfined(t *testing.T) {
	eachWritable(t, func(t *testing.T, db *bun.DB) {
		for name, where := range map[string]core.Option{
			"filter": core.Where(filter.Lt("price", 10)),
			"opaque": Where(func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("price < 10") }),
		} {
			t.Run(name, func(t *testing.T) {
				mustExec(t, db, "DELETE FROM wares")
				b := bindWares(t, db, where)
				res, err := post(t, b, `{"name":"in","price":1}`)
				rowOf(t, b, res, err)
				var invalid *driver.InvalidError
				if _, err := post(t, b, `{"name":"out","price":11}`); !errors.As(err, &invalid) {
					t.Errorf("inserted outside: %v", err)
				}
				if _, err := patch(t, b, res.Key(), `{"price":11}`); !errors.As(err, &invalid) {
					t.Errorf("moved outside: %v", err)
				}
				if got := rawWare(t, db, "count(*)", res.Key()); got != "1" {
					t.Errorf("%s rows", got)
				}
				mustExec(t, db, "UPDATE wares SET price = 12")
				if _, err := patch(t, b, res.Key(), `{"price":1}`); !errors.Is(err, live.ErrNoRow) {
					t.Errorf("a row outside: %v", err)
				}
			})
		}
	})
}

// Of many who saw the same version one wins; those who look again and try once
// more all do, and nothing that anybody added is lost.
func TestNoWriteIsLost(t *testing.T) {
	eachWritable(t, func(t *testing.T, db *bun.DB) {
		b := bindWares(t, db)
		first, err := post(t, b, `{"name":"counter","price":1,"stock":0}`)
		rowOf(t, b, first, err)
		add := func(to live.Row) error {
			var w ware
			if err := json.Unmarshal(to.JSON(), &w); err != nil {
				return err
			}
			_, err := b.Write(t.Context(), live.Write{
				Op: live.Merge, Key: to.Key(), Body: fmt.Appendf(nil, `{"stock":%d}`, w.Stock+1),
				Match: func(r live.Row) bool { return r.Token() == to.Token() },
			})
			return err
		}
		const writers, each = 8, 4
		var wg sync.WaitGroup
		errs := make(chan error, writers)
		for range writers {
			wg.Go(func() { errs <- add(first) })
		}
		wg.Wait()
		won := 0
		for range writers {
			switch err := <-errs; {
			case err == nil:
				won++
			case !errors.Is(err, live.ErrPrecondition):
				t.Errorf("%v, want ErrPrecondition", err)
			}
		}
		if won != 1 {
			t.Errorf("%d writers won", won)
		}
		for range writers {
			wg.Go(func() {
				for done := 0; done < each; {
					now, _ := b.Snapshot().Get(first.Key())
					switch err := add(now); {
					case err == nil:
						done++
					case !errors.Is(err, live.ErrPrecondition):
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if got, want := rawWare(t, db, "stock", first.Key()), fmt.Sprint(1+writers*each); got != want {
			t.Errorf("the counter is %s, want %s", got, want)
		}
	})
}

type softNote struct {
	bun.BaseModel `bun:"table:soft_notes"`

	Lang    string    `bun:",pk" json:"lang"`
	No      int64     `bun:",pk" json:"no"`
	Text    string    `bun:",notnull" json:"text"`
	Deleted time.Time `bun:",soft_delete,nullzero" json:"-"`
}

// Keys of several columns are the client's to choose, and to keep.
func TestWriteCompositeKeysAndSoftDeletes(t *testing.T) {
	eachWritable(t, func(t *testing.T, db *bun.DB) {
		createTable[softNote](t, db)
		b := bindIn[softNote](t, db, "notes", core.Writable())
		res, err := post(t, b, `{"lang":"fr, ça","no":0,"text":"x"}`)
		if n := rowOf(t, b, res, err); n.Lang != "fr, ça" || n.No != 0 {
			t.Errorf("inserted %+v", n)
		}
		if _, err := post(t, b, `{"lang":"fr, ça","no":0,"text":"y"}`); err == nil {
			t.Error("a key was taken twice")
		}
		if _, err := patch(t, b, res.Key(), `{"no":1}`); err == nil {
			t.Error("a key was changed")
		}
		res, err = patch(t, b, res.Key(), `{"no":0,"text":"z"}`)
		if n := rowOf(t, b, res, err); n.Text != "z" {
			t.Errorf("patched %+v", n)
		}
		for range 2 { // the second finds nothing
			_, err = b.Write(t.Context(), live.Write{Op: live.Delete, Key: res.Key()})
		}
		if !errors.Is(err, live.ErrNoRow) || b.Len() != 0 {
			t.Errorf("after deleting: %v, %d rows", err, b.Len())
		}
		if n, err := db.NewSelect().Model((*softNote)(nil)).WhereAllWithDeleted().Count(t.Context()); n != 1 || err != nil {
			t.Errorf("%d rows in the table, %v", n, err)
		}
		if _, err := patch(t, b, res.Key(), `{"text":"again"}`); !errors.Is(err, live.ErrNoRow) {
			t.Errorf("patching a deleted row: %v", err)
		}
	})
}

type defaultOnly struct {
	bun.BaseModel `bun:"table:default_only"`

	ID int64  `bun:",pk,autoincrement" json:"id"`
	N  int64  `bun:",notnull,default:5" json:"n"`
	S  string `bun:",nullzero" json:"s"`
}

func TestWriteRowOfDefaults(t *testing.T) {
	eachWritable(t, func(t *testing.T, db *bun.DB) {
		createTable[defaultOnly](t, db)
		b := bindIn[defaultOnly](t, db, "defaults", core.Writable())
		for i := range int64(2) {
			res, err := post(t, b, `{}`)
			if d := rowOf(t, b, res, err); d.ID != i+1 || d.N != 5 || d.S != "" {
				t.Errorf("row %+v", d)
			}
		}
	})
}

// The sources see a write by its key, and not the lock that comes before it.
func TestWritesAreReportedByKey(t *testing.T) {
	for _, d := range []dialect.Name{dialect.SQLite, dialect.PG} {
		t.Run(d.String(), func(t *testing.T) {
			h := newHookDB(t, d, true)
			l := preparedLoader[hookItem](t, h.db)
			key := driver.KeyOf(int64(3))
			for what, write := range map[string]func(context.Context) error{
				"insert": func(ctx context.Context) error {
					_, err := l.Insert(ctx, &hookItem{Name: "new", Price: 1}, []string{"name", "price"})
					return err
				},
				"update": func(ctx context.Context) error {
					return l.Update(ctx, key, &hookItem{ID: 3, Name: "changed"}, []string{"name"}, nil)
				},
				"delete": func(ctx context.Context) error { return l.Delete(ctx, driver.KeyOf(int64(4))) },
			} {
				reports := h.check(t, false, func() {
					err := l.Transact(t.Context(), func(ctx context.Context) error {
						return errors.Join(l.Lock(ctx, key), write(ctx))
					})
					if err != nil {
						t.Error(err)
					}
				})
				if keys, whole := reportedKeys(reports); keys != 1 || whole {
					t.Errorf("%s: reported %v", what, changesOf(reports))
				}
			}
		})
	}
}
