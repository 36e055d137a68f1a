package bunsource

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
)

// Clients write the columns that a binding shows. The others are the
// database's, and are not named.
func TestWriteShownColumns(t *testing.T) {
	eachWritable(t, func(t *testing.T, db *bun.DB) {
		b := bindWares(t, db, core.Columns("id", "name", "price", "tag"), core.OrderBy("stock"))
		res, err := post(t, b, `{"name":"a","price":1.5}`)
		rowOf(t, b, res, err)
		first := res.Key()
		if got := rawWare(t, db, "stock || ' ' || note", first); got != "7 none" {
			t.Errorf("defaults of what is not shown: %s", got)
		}
		if w, _ := b.Get(first); w.Stock != 7 || !w.Touched.Equal(wareTouched) {
			t.Errorf("Go code sees %+v", w)
		}
		mustExec(t, db, "UPDATE wares SET stock = 3, note = 'kept', code_no = 'x' WHERE id = "+first.String())
		res, err = put(t, b, first, `{"name":"b","price":2}`)
		rowOf(t, b, res, err)
		if got := rawWare(t, db, "stock || ' ' || note || ' ' || code_no || ' ' || name", first); got != "3 kept x b" {
			t.Errorf("after a replacement of what is shown: %s", got)
		}
		var invalid *driver.InvalidError
		_, err = patch(t, b, first, `{"stock":1,"code":null}`)
		if !errors.As(err, &invalid) || len(invalid.Fields) != 2 || invalid.Fields[0].Field != "code" {
			t.Errorf("writing what is not shown: %v", err)
		}

		// Two rows may not have the code that every new one gets from here on.
		if isSQLite(db) {
			mustExec(t, db, "CREATE TRIGGER codes AFTER INSERT ON wares BEGIN UPDATE wares SET code_no = 'x' WHERE id = new.id; END")
		} else {
			mustExec(t, db, "ALTER TABLE wares ALTER code_no SET DEFAULT 'x'")
		}
		_, err = post(t, b, `{"name":"c","price":1}`)
		if !errors.As(err, &invalid) || slices.ContainsFunc(invalid.Fields, func(f driver.FieldError) bool {
			return f.Field != "" || strings.Contains(f.Detail, "code") || !strings.Contains(f.Detail, "not shown")
		}) {
			t.Errorf("what is not shown is taken: %v", err)
		}
	})
}

func isSQLite(db *bun.DB) bool { return db.Dialect().Name() == dialect.SQLite }
