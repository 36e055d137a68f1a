package sqlitehooks

import (
	"reflect"
)

// Op is what happens to a row, as SQLite numbers it.
type Op int32

// The operations on a row.
const (
	OpDelete Op = 9
	OpInsert Op = 18
	OpUpdate Op = 23
)

// Values gives the columns of a row that is about to change.
type Values interface {
	// Count returns how many columns the row has.
	Count() int
	// Old stores the first columns as they are. It fails for an insert.
	Old(dest ...any) error
	// New stores the first columns as they will be. It fails for a delete.
	New(dest ...any) error
}

// handlers are what SQLite calls.
type handlers struct {
	preUpdate  func(op Op, database, table string, row Values)
	committing func() int32
	rolledBack func()
}

// hookable is a connection that offers the hooks.
type hookable struct {
	preUpdate, commit, rollback reflect.Value // methods that register

	update              reflect.Type // the argument of a pre-update hook
	op, database, table []int        // its fields
}

var valuesType = reflect.TypeFor[Values]()

// hooksOf finds the methods of a connection that register hooks. It reports
// false for a driver without hooks, and for one whose hooks are other than those
// of modernc.org/sqlite.
func hooksOf(conn any) (hookable, bool) {
	v := reflect.ValueOf(conn)
	h := hookable{
		preUpdate: v.MethodByName("RegisterPreUpdateHook"),
		commit:    v.MethodByName("RegisterCommitHook"),
		rollback:  v.MethodByName("RegisterRollbackHook"),
	}
	if !takes(h.preUpdate, 1, 0) || !takes(h.commit, 0, 1) || !takes(h.rollback, 0, 0) {
		return h, false
	}
	if h.commit.Type().In(0).Out(0).Kind() != reflect.Int32 {
		return h, false
	}
	h.update = h.preUpdate.Type().In(0).In(0)
	if h.update.Kind() != reflect.Struct || !reflect.PointerTo(h.update).Implements(valuesType) {
		return h, false
	}
	for name, field := range map[string]*[]int{"Op": &h.op, "DatabaseName": &h.database, "TableName": &h.table} {
		f, ok := h.update.FieldByName(name)
		if !ok || name == "Op" && f.Type.Kind() != reflect.Int32 || name != "Op" && f.Type.Kind() != reflect.String {
			return h, false
		}
		*field = f.Index
	}
	return h, true
}

// takes reports whether the method takes a function with so many arguments and
// results, and returns nothing.
func takes(method reflect.Value, in, out int) bool {
	if !method.IsValid() {
		return false
	}
	t := method.Type()
	if t.NumIn() != 1 || t.NumOut() != 0 || t.In(0).Kind() != reflect.Func {
		return false
	}
	return t.In(0).NumIn() == in && t.In(0).NumOut() == out
}

// register registers the handlers, in place of others.
func (h hookable) register(to handlers) {
	hook := reflect.MakeFunc(h.preUpdate.Type().In(0), func(args []reflect.Value) []reflect.Value {
		row := reflect.New(h.update)
		update := row.Elem()
		update.Set(args[0])
		to.preUpdate(Op(update.FieldByIndex(h.op).Int()), update.FieldByIndex(h.database).String(), update.FieldByIndex(h.table).String(), row.Interface().(Values))
		return nil
	})
	h.preUpdate.Call([]reflect.Value{hook})
	h.commit.Call([]reflect.Value{reflect.ValueOf(to.committing).Convert(h.commit.Type().In(0))})
	h.rollback.Call([]reflect.Value{reflect.ValueOf(to.rolledBack).Convert(h.rollback.Type().In(0))})
}

// Offers reports whether a driver's connection offers the hooks.
func Offers(conn any) bool {
	_, ok := hooksOf(conn)
	return ok
}
