package sqlitehooks

import (
	"database/sql"
	"testing"

	"modernc.org/sqlite"
)

// hooked is a connection of modernc.org/sqlite, as far as its hooks go.
type hooked struct {
	preUpdate sqlite.PreUpdateHookFn
	commit    sqlite.CommitHookFn
	rollback  sqlite.RollbackHookFn
}

func (h *hooked) RegisterPreUpdateHook(f sqlite.PreUpdateHookFn) { h.preUpdate = f }
func (h *hooked) RegisterCommitHook(f sqlite.CommitHookFn)       { h.commit = f }
func (h *hooked) RegisterRollbackHook(f sqlite.RollbackHookFn)   { h.rollback = f }

// otherHooks has methods of the same names, that take something else.
type otherHooks struct{}

func (otherHooks) RegisterPreUpdateHook(func(op int, database, table string)) {}
func (otherHooks) RegisterCommitHook(func() int)                              {}
func (otherHooks) RegisterRollbackHook(func())                                {}

func TestHooksAreFoundByTheirMethods(t *testing.T) {
	if Offers(otherHooks{}) || Offers(struct{}{}) {
		t.Error("hooks of another kind are taken for SQLite's")
	}
	conn := &hooked{}
	found, ok := hooksOf(conn)
	if !ok {
		t.Fatal("the hooks of modernc.org/sqlite are not found")
	}
	var seen []any
	found.register(handlers{
		preUpdate:  func(op Op, database, table string, row Values) { seen = append(seen, op, database, table, row.Old()) },
		committing: func() int32 { seen = append(seen, "commit"); return 7 },
		rolledBack: func() { seen = append(seen, "rollback") },
	})
	conn.rollback()
	if conn.commit() != 7 || len(seen) != 2 {
		t.Errorf("seen %v", seen)
	}
	// An insert has no old row, which it says without asking SQLite.
	conn.preUpdate(sqlite.SQLitePreUpdateData{Op: int32(OpInsert), DatabaseName: "main", TableName: "t"})
	if len(seen) != 6 || seen[2] != OpInsert || seen[3] != "main" || seen[4] != "t" || seen[5] == nil {
		t.Errorf("seen %v", seen)
	}
}

// The driver's own connections are recognised.
func TestModerncIsRecognised(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.Raw(func(c any) error {
		if !Offers(c) {
			t.Errorf("a %T offers no hooks", c)
		}
		return nil
	})
}

// BenchmarkHook measures the way of a row from SQLite to the recorder.
func BenchmarkHook(b *testing.B) {
	conn := &hooked{}
	found, _ := hooksOf(conn)
	found.register(handlers{preUpdate: func(Op, string, string, Values) {}, committing: func() int32 { return 0 }, rolledBack: func() {}})
	data := sqlite.SQLitePreUpdateData{Op: int32(OpInsert), DatabaseName: "main", TableName: "t"}
	b.ReportAllocs()
	for b.Loop() {
		conn.preUpdate(data)
	}
}
