package bunsource

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// waitCounter counts the waits for receipts, and can hold them up.
type waitCounter struct {
	calls atomic.Int64
	begun chan struct{}
	free  chan struct{}
}

func holdWaits(h *hookDB, held bool) *waitCounter {
	w := &waitCounter{begun: make(chan struct{}, 100), free: make(chan struct{})}
	if !held {
		close(w.free)
	}
	h.sink.mu.Lock()
	defer h.sink.mu.Unlock()
	h.sink.wait = func(ctx context.Context) error {
		w.calls.Add(1)
		w.begun <- struct{}{}
		select {
		case <-w.free:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return w
}

func TestWritesWaitForTheirBindings(t *testing.T) {
	eachHookDB(t, func(t *testing.T, h *hookDB) {
		h.source.cfg.WaitTimeout = time.Minute
		write := func(db bun.IDB) {
			exec(t, db.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK())
		}
		writes := map[string]func(){
			"insert": func() { exec(t, h.db.NewInsert().Model(&hookItem{Name: "new"})) },
			"update": func() { write(h.db) },
			"raw":    func() { rawExec(t, h.db, "DELETE FROM items WHERE price = 10") },
			"RunInTx": func() {
				must(t, h, h.db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
					_, err := tx.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK().Exec(ctx)
					return err
				}))
			},
		}
		for name, run := range writes {
			t.Run(name, func(t *testing.T) {
				h.fill(t)
				w := holdWaits(h, true)
				returned := make(chan struct{})
				go func() {
					defer close(returned)
					run()
				}()
				select {
				case <-returned:
					t.Fatal("it returned before its bindings had caught up")
				case <-w.begun:
				}
				close(w.free)
				<-returned
				if n := w.calls.Load(); n != 1 {
					t.Errorf("it waited %d times", n)
				}
			})
		}
	})
}

func TestWritesInATransactionDoNotWait(t *testing.T) {
	eachHookDB(t, func(t *testing.T, h *hookDB) {
		w := holdWaits(h, false)
		must(t, h, h.db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK().Exec(ctx)
			must(t, tx, err)
			_, err = tx.ExecContext(ctx, "UPDATE items SET price = 4")
			must(t, tx, err)
			if n := w.calls.Load(); n > 0 {
				t.Errorf("it waited %d times before the commit", n)
			}
			return nil
		}))
		if w.calls.Load() == 0 {
			t.Error("the commit did not wait")
		}
	})
}

func TestNoWaitWithoutNeed(t *testing.T) {
	h := newHookDB(t, dialect.SQLite, true)
	w := holdWaits(h, false)
	expect := func(what string, n int64) {
		t.Helper()
		if got := w.calls.Swap(0); got != n {
			t.Errorf("%s waited %d times, want %d", what, got, n)
		}
	}
	rawExec(t, h.db.DB, "UPDATE items SET price = 4")
	expect("a write without Bun", 0)

	exec(t, h.db.NewUpdate().Model(&hookItem{ID: 2000}).WherePK())
	expect("a write that changes nothing", 0)

	if _, err := h.db.NewInsert().Model(&hookItem{ID: 1}).Exec(t.Context()); err == nil {
		t.Error("a second row with the same key was inserted")
	}
	expect("a write that fails", 0)

	conn, err := h.db.Conn(t.Context())
	must(t, conn, err)
	rawExec(t, conn, "UPDATE items SET price = 5")
	expect("a write on a connection of its own", 1)
	h.db.SetMaxOpenConns(1)
	rawExec(t, conn, "UPDATE items SET price = 6")
	expect("a write on the last connection", 0)
	must(t, conn, conn.Close())
	rawExec(t, h.db, "UPDATE items SET price = 7")
	expect("a write that has given its connection back", 1)

	rows, err := h.db.Query("UPDATE items SET price = 8 RETURNING id")
	must(t, rows, err)
	expect("a write whose rows are open", 0)
	must(t, rows, rows.Close())
}

func TestAsyncWritesDoNotWait(t *testing.T) {
	h := newHookDB(t, dialect.SQLite, true, HooksConfig{Async: true})
	w := holdWaits(h, false)
	exec(t, h.db.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK())
	if n := w.calls.Load(); n > 0 {
		t.Errorf("it waited %d times", n)
	}
	if h.sink.count() == 0 {
		t.Error("it reported nothing")
	}
}

// A write whose bindings do not catch up returns, and says so once in a row.
func TestWaitsEnd(t *testing.T) {
	var log coretest.Output
	h := newHookDB(t, dialect.SQLite, true, HooksConfig{
		WaitTimeout: time.Millisecond, Database: "",
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	write := func(ctx context.Context) {
		t.Helper()
		_, err := h.db.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK().Exec(ctx)
		must(t, h, err)
	}
	warnings := func() int { return strings.Count(log.String(), "caught up") }

	holdWaits(h, true)
	write(t.Context())
	write(t.Context())
	if h.source.Timeouts() != 2 || warnings() != 1 {
		t.Errorf("two writes that waited in vain: counted %d, logged\n%s", h.source.Timeouts(), &log)
	}
	holdWaits(h, false)
	h.source.cfg.WaitTimeout = time.Minute
	write(t.Context())
	h.source.cfg.WaitTimeout = time.Millisecond
	holdWaits(h, true)
	write(t.Context())
	if h.source.Timeouts() != 3 || warnings() != 2 {
		t.Errorf("another streak: counted %d, logged\n%s", h.source.Timeouts(), &log)
	}

	// What the writer or the registry ends is no timeout.
	h.source.cfg.WaitTimeout = time.Minute
	w := holdWaits(h, true)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-w.begun
		cancel()
	}()
	write(ctx)
	h.sink.mu.Lock()
	h.sink.wait = func(context.Context) error { return live.ErrClosed }
	h.sink.mu.Unlock()
	write(t.Context())
	if h.source.Timeouts() != 3 || warnings() != 2 {
		t.Errorf("waits that others ended: counted %d, logged\n%s", h.source.Timeouts(), &log)
	}
}

func TestHooksConfigIsChecked(t *testing.T) {
	db, _ := openHookDB(t, dialect.SQLite, true)
	if databaseName(db) != "" {
		t.Error("a database without a name has one")
	}
	for name, cfg := range map[string][]HooksConfig{
		"less than 0": {{WaitTimeout: -1}},
		"got 2":       {{}, {}},
		`"crm"`:       {{Database: "crm"}}, // the name was asked for already
	} {
		err := Hooks(db, cfg...).Watch(t.Context(), newFakeSink(nil))
		if err == nil || !driver.IsPermanent(err) || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: Watch returned %v", cfg, err)
		}
	}
}

func TestDatabaseNames(t *testing.T) {
	dsn := "file:" + t.TempDir() + "/named.db"
	db, err := Open("sqlite", dsn, sqlitedialect.New(), Named("crm"))
	must(t, db, err)
	defer db.Close()
	s := Hooks(db)
	if got := databaseName(db.WithNamedArg("x", 1)); got != "crm" {
		t.Errorf("the database is called %q", got)
	}
	if !s.Scope().Covers(driver.Table{Database: "crm", Name: "x"}) || s.Scope().Covers(driver.Table{Name: "x"}) {
		t.Error("the source does not cover its own database alone")
	}
	sink := newFakeSink(nil, driver.Schema{Table: driver.Table{Name: "x"}}, driver.Schema{Table: driver.Table{Database: "crm", Name: "x"}})
	startWatching(t, s, sink)
	rawExec(t, db, "CREATE TABLE x (id INTEGER PRIMARY KEY)")
	rawExec(t, db, "INSERT INTO x VALUES (1), (2)")
	for _, r := range sink.take() {
		for _, c := range r.changes {
			if c.Table.Database != "crm" {
				t.Errorf("reported %v", c)
			}
		}
	}

	_, plain := openHookDB(t, dialect.SQLite, false)
	Hooks(plain, HooksConfig{Database: "shop"})
	if got := databaseName(plain); got != "shop" {
		t.Errorf("the database is called %q", got)
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := Open("no such driver", "", sqlitedialect.New()); err == nil || !strings.Contains(err.Error(), `"no such driver"`) {
		t.Errorf("an unknown driver: %v", err)
	}
}

// A binding that is added, and a registry that comes, while a transaction is
// open hear of it.
func TestWhatComesInMidTransaction(t *testing.T) {
	h := newHookDB(t, dialect.SQLite, true)
	late := h.schemas[1]
	h.sink.mu.Lock()
	h.sink.schemas = h.sink.schemas[:1]
	h.sink.mu.Unlock()
	h.source.tracker.Forget()
	second := newFakeSink(h.read, h.schemas...)
	reports := h.check(t, false, func() {
		must(t, h, h.db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
			exec(t, tx.NewUpdate().Model(&hookPair{A: 1, B: "x", N: 100}).WherePK())
			exec(t, tx.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK())
			h.sink.bind(late)
			startWatching(t, Hooks(h.db), second)
			return nil
		}))
	})
	if _, whole := reportedKeys(reports); !whole {
		t.Errorf("a table that was bound later: reported %v", changesOf(reports))
	}
	if got := second.take(); len(got) == 0 {
		t.Error("a registry that came later was told nothing")
	}
}

// A second hook on a copy of the *bun.DB reports nothing twice.
func TestCopiesReportOnce(t *testing.T) {
	for _, wrapped := range []bool{true, false} {
		h := newHookDB(t, dialect.SQLite, wrapped)
		db := h.db.WithNamedArg("x", 1)
		Hooks(db)
		exec(t, db.NewInsert().Model(&hookItem{Name: "new"}))
		must(t, db, db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK().Exec(ctx)
			return err
		}))
		if n := h.sink.count(); n != 2 {
			t.Errorf("wrapped %v: %d reports, want 2", wrapped, n)
		}
	}
}

var errModel = errors.New("panic of a model")

// explodingItem panics when it is scanned.
type explodingItem struct {
	hookItem
	bun.BaseModel `bun:"table:items,alias:i"`
}

func (*explodingItem) AfterScanRow(context.Context) error { panic(errModel) }

// A model that panics keeps AfterQuery from being called. The wrapper does not
// depend on it; without it the report comes with a later garbage collection,
// when the driver does not hold the statement's context any more either.
func TestModelsThatPanic(t *testing.T) {
	eachHookDB(t, func(t *testing.T, h *hookDB) {
		panicking := func() {
			defer func() { _ = recover() }()
			_, _ = h.db.NewInsert().Model(&explodingItem{hookItem: hookItem{Name: "boom"}}).Exec(t.Context())
			t.Error("the model did not panic")
		}
		if h.wrapped {
			h.check(t, false, panicking)
			return
		}
		before := h.read()
		h.sink.take()
		panicking()
		var reports []fakeReport
		waitFor(t, "the report", func() bool {
			rawExec(t, h.db, "SELECT 1")
			collectGarbage()
			reports = append(reports, h.sink.take()...)
			return len(unreported(before, h.read(), reports)) == 0
		})
	})
}

// Transactions that Bun loses sight of end when nobody holds them any more.
func TestForgottenTransactionsEnd(t *testing.T) {
	h := newHookDB(t, dialect.SQLite, false)
	func() {
		ctx, cancel := context.WithCancel(t.Context())
		tx, err := h.db.BeginTx(ctx, nil)
		must(t, tx, err)
		exec(t, tx.NewUpdate().Model(&hookItem{ID: 2, Name: "x"}).WherePK()) // with another context
		cancel()
	}()
	// The statement was reported at once, as it may have been none of the
	// transaction's, and is so again at the end.
	waitFor(t, "the end of the transaction", func() bool {
		collectGarbage()
		return h.sink.count() == 2
	})
	if !h.source.tracker.hook.Idle() {
		t.Error("something is kept")
	}
}

// TestHooksWarnOfDriversThatAreNotWrapped: at the start, once, and not where the
// driver is wrapped.
func TestHooksWarnOfDriversThatAreNotWrapped(t *testing.T) {
	for name, wrapped := range map[string]bool{"opened by sql.Open": false, "opened by Open": true} {
		t.Run(name, func(t *testing.T) {
			db, _ := openHookDB(t, dialect.SQLite, wrapped)
			var log coretest.Output
			source := Hooks(db, HooksConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			for range 2 {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if err := source.Watch(ctx, newFakeSink(nil)); err != nil {
					t.Fatal(err)
				}
			}
			want := 1
			if wrapped {
				want = 0
			}
			if got := strings.Count(log.String(), "is not wrapped"); got != want {
				t.Errorf("warned %d times, want %d:\n%s", got, want, &log)
			}
		})
	}
}
