package notes

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/sourcetest/loadertest"
	"github.com/binderyhq/bindery/sources/sqlitesource"
	"github.com/binderyhq/bindery/transports/rest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) (*sql.DB, *sqlitesource.Source) {
	t.Helper()
	source, err := sqlitesource.New("file:" + filepath.Join(t.TempDir(), "notes.db") + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(source.Connector())
	t.Cleanup(func() { _ = db.Close() })
	run(t, db, createTable)
	return db, source
}

func run(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

// TestLoader holds the table to what all loaders promise.
func TestLoader(t *testing.T) {
	loadertest.Run(t, func(t *testing.T) loadertest.Harness[Note] {
		db, _ := open(t)
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		rows := []Note{{1, "one", 0, at}, {2, "zwei", 2, at}, {1 << 40, "far", 0, at}}
		for _, n := range rows {
			run(t, db, "INSERT INTO notes VALUES (?, ?, ?, ?)", n.ID, n.Text, n.Stars, n.At)
		}
		return loadertest.Harness[Note]{
			Loader: Open(db), Rows: rows, Absent: Note{ID: 9, At: at},
			Change: func(t *testing.T, n Note) Note {
				n.Stars++
				run(t, db, "UPDATE notes SET stars = ? WHERE id = ?", n.Stars, n.ID)
				return n
			},
			Damage: func(t *testing.T, n Note) { run(t, db, "UPDATE notes SET at = 'never' WHERE id = ?", n.ID) },
		}
	})
}

// TestWrites: clients write, and what they get wrong is told by field.
func TestWrites(t *testing.T) {
	db, source := open(t)
	e, reg := echo.New(), core.NewRegistry()
	reg.Add(core.Bind[Note]("notes", Open(db), core.OrderBy("id"), core.Writable()))
	reg.Watch(source)
	reg.Serve(rest.New(e.Group("/api")))
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := reg.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	for _, c := range []struct {
		method, path, body string
		code               int
		shows              string
	}{
		{"POST", "/api/notes", `{"text":"buy bread","at":"2026-01-02T03:04:05Z"}`, 201, `{"id":1,"text":"buy bread","stars":0,"at":"2026-01-02T03:04:05Z"}`},
		{"POST", "/api/notes", `{"text":""}`, 422, `{"field":"text","detail":"must not be empty"}`},
		{"POST", "/api/notes", `{"id":7,"text":"x"}`, 422, `"field":"id"`},
		{"POST", "/api/notes", `{"stars":1}`, 422, `{"field":"text","detail":"is missing"}`},
		{"PATCH", "/api/notes/1", `{"stars":3}`, 200, `"stars":3`},
		{"PATCH", "/api/notes/1", `{"text":""}`, 422, `"field":"text"`},
		{"PUT", "/api/notes/1", `{"text":"butter","stars":1,"at":"2026-01-02T03:04:05Z"}`, 200, `"butter"`},
		{"GET", "/api/notes/1", ``, 200, `{"id":1,"text":"butter","stars":1,"at":"2026-01-02T03:04:05Z"}`},
		{"DELETE", "/api/notes/1", ``, 204, ``},
		{"DELETE", "/api/notes/1", ``, 404, ``},
		{"GET", "/api/notes", ``, 200, "[]\n"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, strings.NewReader(c.body))
		if c.body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.shows) {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, w.Code, w.Body)
		}
	}
	run(t, db, "INSERT INTO notes (text) VALUES ('by the program itself')")
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/notes", nil))
	if !strings.Contains(w.Body.String(), "by the program itself") {
		t.Errorf("a write by SQL does not show: %s", w.Body)
	}
}
