package bunsource

import (
	"context"
	"database/sql"
	"runtime"
	"slices"
	"sync"
	"weak"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/sources/bunsource/internal/commits"
	"github.com/binderyhq/bindery/sources/bunsource/internal/hooks"
	"github.com/binderyhq/bindery/sources/internal/wrapdriver"
)

// tracker follows what is written through one *sql.DB. It is safe for concurrent
// use.
type tracker struct {
	*commits.Tracker
	hook *hooks.Hook

	mu     sync.Mutex // guards what follows
	hooked []weak.Pointer[bun.DB]
}

func newTracker(wrapped bool) *tracker {
	t := &tracker{Tracker: commits.NewTracker(wrapped)}
	t.hook = hooks.New(t.Tracker)
	return t
}

// trackers finds the tracker of a *sql.DB whose driver is not wrapped. An
// entry goes when its *sql.DB does.
var trackers sync.Map // weak.Pointer[sql.DB] -> *tracker

// trackerOf returns the tracker of a *sql.DB, and makes one if it has none. A
// wrapped driver holds its own.
func trackerOf(db *sql.DB) *tracker {
	if d, ok := db.Driver().(*wrapdriver.Driver); ok {
		if t, ours := d.Observer().(*tracker); ours {
			return t
		}
	}
	key := weak.Make(db)
	if t, ok := trackers.Load(key); ok {
		return t.(*tracker)
	}
	t, loaded := trackers.LoadOrStore(key, newTracker(false))
	if !loaded {
		runtime.AddCleanup(db, func(key weak.Pointer[sql.DB]) { trackers.Delete(key) }, key)
	}
	return t.(*tracker)
}

// databaseName returns the name that the user gave the database, "" by default. The
// name belongs to the *sql.DB, so every copy of a *bun.DB (WithQueryHook,
// WithNamedArg) has the same.
func databaseName(db *bun.DB) string {
	if db == nil {
		return "" // describing the model reports it
	}
	return trackerOf(db.DB).UseDatabase()
}

// withoutHooks returns a context for the loader's own statements, which the hooks
// ignore because they only read.
func withoutHooks(ctx context.Context) context.Context { return commits.Bypass(ctx) }

// addHook adds the query hook to a *bun.DB that has none.
func (t *tracker) addHook(db *bun.DB) {
	if t.isHooked(db) {
		return
	}
	// A copy, as WithQueryHook makes it, would leave db itself unwatched.
	//lint:ignore SA1019 see above
	db.AddQueryHook(t.hook) //nolint:staticcheck // SA1019: see above
}

// isHooked reports whether the *bun.DB has the hook, and notes that it has from now
// on.
func (t *tracker) isHooked(db *bun.DB) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := weak.Make(db)
	if slices.Contains(t.hooked, p) {
		return true
	}
	t.hooked = slices.DeleteFunc(t.hooked, func(p weak.Pointer[bun.DB]) bool { return p.Value() == nil })
	t.hooked = append(t.hooked, p)
	return false
}

// Unwrap returns the driver's own connection, from what [sql.Conn.Raw] hands
// out for a wrapped driver; anything else is returned as it is. With pgx:
//
//	err := sqlconn.Raw(func(c any) error {
//		pgxconn := bunsource.Unwrap(c).(*stdlib.Conn).Conn()
//		…
//	})
//
// The hooks do not see what the program does with it. So they report every table
// when the connection is used again or given back, whichever comes first.
func Unwrap(driverConn any) any {
	if c, ok := driverConn.(*wrapdriver.Conn); ok {
		if _, ours := c.Observer().(*tracker); ours {
			return c.Unwrap()
		}
	}
	return driverConn
}
