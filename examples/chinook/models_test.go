package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/bunsource"
)

func TestMain(m *testing.M) {
	stopWithin = time.Minute
	goleak.VerifyTestMain(m)
}

// open unpacks the database and serves its bindings until the test ends.
func open(t *testing.T) (*bun.DB, *core.Registry) {
	t.Helper()
	ctx := context.Background()
	db, path, cleanUp, err := openDatabase(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cleanUp(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", path, err)
		}
	})
	reg := core.Config{Logger: slog.New(slog.DiscardHandler)}.NewRegistry()
	if err := reg.Add(bindings(db)...); err != nil {
		t.Fatal(err)
	}
	if err := reg.Watch(bunsource.Hooks(db)); err != nil {
		t.Fatal(err)
	}
	if err := reg.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reg.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return db, reg
}

// rows returns a binding's rows as clients see them.
func rows(t *testing.T, reg *core.Registry, binding string) []map[string]any {
	t.Helper()
	v, ok := reg.Lookup(binding)
	if !ok {
		t.Fatalf("no binding %q", binding)
	}
	var out []map[string]any
	for row := range v.Snapshot().Rows() {
		var m map[string]any
		if err := json.Unmarshal(row.JSON(), &m); err != nil {
			t.Fatalf("binding %q: %v", binding, err)
		}
		out = append(out, m)
	}
	return out
}

func TestEveryTableBindsAsItIs(t *testing.T) {
	_, reg := open(t)
	for binding, want := range map[string]int{
		"artists": 275, "albums": 347, "playlists": 18, "playlist_tracks": 8715,
		"tracks": 3503, "uncredited": 977, "longest": 20, "invoices": 412,
	} {
		if got := rows(t, reg, binding); len(got) != want {
			t.Errorf("binding %q holds %d rows, want %d", binding, len(got), want)
		}
	}
	first := rows(t, reg, "tracks")[0]
	if first["TrackId"] != 1.0 || first["UnitPrice"] != 0.99 || first["Name"] != "For Those About To Rock (We Salute You)" {
		t.Errorf("the first track is %v", first)
	}
	if composer, ok := rows(t, reg, "uncredited")[0]["Composer"]; !ok || composer != nil {
		t.Errorf("the composer of an uncredited track is %v, want null", composer)
	}
	invoices := rows(t, reg, "invoices")
	if last := invoices[len(invoices)-1]; last["InvoiceDate"] != "2021-01-01T00:00:00Z" || last["Total"] != 1.98 || last["BillingState"] != nil {
		t.Errorf("the first invoice is %v", last)
	}
}

func TestWritesShow(t *testing.T) {
	db, reg := open(t)
	ctx := context.Background()
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := db.ExecContext(ctx, query, args...); err != nil {
			t.Fatal(err)
		}
		if err := reg.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	has := func(binding string, column string, value any) (n int) {
		for _, r := range rows(t, reg, binding) {
			if r[column] == value {
				n++
			}
		}
		return n
	}

	// An amount without cents is an integer to SQLite.
	exec(`UPDATE Track SET UnitPrice = 2, Milliseconds = 99999999 WHERE TrackId = 1`)
	if longest := rows(t, reg, "longest"); longest[0]["TrackId"] != 1.0 || longest[0]["UnitPrice"] != 2.0 || len(longest) != 20 {
		t.Errorf("the longest of %d tracks is %v, want track 1 at 2", len(longest), longest[0])
	}
	if has("uncredited", "TrackId", 1.0) != 0 {
		t.Error("track 1 is uncredited before its composer was removed")
	}
	exec(`UPDATE Track SET Composer = NULL WHERE TrackId = 1`)
	if has("uncredited", "TrackId", 1.0) != 1 {
		t.Error("track 1 is not uncredited after its composer was removed")
	}
	if _, err := db.NewDelete().Model(&PlaylistTrack{PlaylistID: 1, TrackID: 1}).WherePK().Exec(ctx); err != nil {
		t.Fatal(err)
	}
	if err := reg.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if n := len(rows(t, reg, "playlist_tracks")); n != 8714 {
		t.Errorf("got %d rows of playlists after a delete by a key of two columns, want 8714", n)
	}
}

func TestOpenDatabaseRefuses(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.sqlite")
	for dsn, want := range map[string]string{
		"sqlite:" + missing:      missing,
		"sqlite:":                "want sqlite:PATH",
		"postgres://localhost/x": "want sqlite:PATH",
	} {
		_, _, _, err := openDatabase(context.Background(), dsn)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want one that says %q", dsn, err, want)
		}
	}
	if _, err := os.Stat(missing); !os.IsNotExist(err) {
		t.Errorf("%s was made: %v", missing, err)
	}
}
