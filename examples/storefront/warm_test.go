//go:build unix

package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// get makes a request and returns the status, the tag without quotes, and the body.
func (p *process) get(path string) (code int, token, body string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://"+p.addr+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity") // or else the tag says how it is packed
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.StatusCode, strings.Trim(res.Header.Get("ETag"), `"`), string(b)
}

// version returns the version of the products once they are loaded, which a busy
// machine may do after it serves.
func (p *process) version() string {
	p.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if code, version, body := p.get("/api/products"); code == http.StatusOK && strings.Contains(body, `"id":1,`) {
			return version
		} else if time.Now().After(deadline) {
			p.t.Fatalf("the products: %d %.200s", code, body)
		}
	}
}

// resume opens a stream from the version and returns a function that reads the next
// message.
func (p *process) resume(version string) (next func() message) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 60*time.Second)
	p.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+"/events/products", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", version)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 16<<20)
	return func() (m message) {
		p.t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(data), &m); err != nil {
					p.t.Fatalf("message %.200q: %v", data, err)
				}
				return m
			}
		}
		p.t.Fatalf("the stream has ended: %v", lines.Err())
		return m
	}
}

// servesWarm checks that the shop serves what it has kept, and says so.
func (p *process) servesWarm(version string) {
	p.t.Helper()
	if code, got, body := p.get("/api/products"); code != http.StatusOK || got != version || !strings.Contains(body, `"id":1,`) {
		p.t.Errorf("the list: %d, version %s, want %s: %.200s", code, got, version, body)
	}
	if code, _, body := p.get("/readyz"); code != http.StatusOK || !strings.Contains(body, "stale") || !strings.Contains(body, "venues") {
		p.t.Errorf("readiness: %d %s", code, body)
	}
}

// catchesUp checks that a client at the version is told what has changed, and no
// more, and that the shop then is as a new one.
func (p *process) catchesUp(next func() message, bring func(), change func(message) bool) {
	p.t.Helper()
	bring()
	if m := next(); !change(m) {
		p.t.Errorf("a client that resumed is told: %+v", m)
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if code, _, body := p.get("/readyz"); code == http.StatusOK && strings.Contains(body, `"ready"`) {
			break
		} else if time.Now().After(deadline) {
			p.t.Fatalf("it does not become current: %s", body)
		}
	}
}

// TestWarmSQLite restarts the shop while somebody else has locked its database file.
func TestWarmSQLite(t *testing.T) {
	binary, dir := buildProgram(t), t.TempDir()
	path, warm := filepath.Join(dir, "shop.db"), filepath.Join(dir, "warm")
	start := func() *process {
		return startProgram(t, binary, "-db", "sqlite:"+path, "-warm", warm, "-rows", "200")
	}
	p := start()
	version := p.version()
	if err := p.end(syscall.SIGTERM); err != nil {
		t.Fatalf("the program ended with %v:\n%s", err, p.output.Bytes())
	}
	// Another process writes and keeps the file to itself.
	outside := openOutside(t, path)
	if _, err := outside.Exec("UPDATE products SET price = 1.25 WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	unlock := lock(t, outside)

	p = start()
	p.servesWarm(version)
	if err := p.end(syscall.SIGTERM); err != nil { // also while the file is locked
		t.Errorf("the program ended with %v:\n%s", err, p.output.Bytes())
	}
	p = start()
	p.servesWarm(version)
	if err := p.end(syscall.SIGKILL); err == nil {
		t.Error("the program was not killed")
	}
	p = start()
	p.servesWarm(version)
	next := p.resume(version)
	if m := next(); m.Action != "sync" || string(m.Payload) != `"ok"` || m.Version != version {
		t.Errorf("a client at the version is told: %+v", m)
	}
	p.catchesUp(next, unlock, func(m message) bool { return m.Action == "update" && m.has(1) && !m.More })

	// What was not written before the process was killed comes back by itself: a
	// client that has seen it goes back to what was kept, and forward again.
	patch, err := http.NewRequest(http.MethodPatch, "http://"+p.addr+"/api/products/2", strings.NewReader(`{"price":1.5}`))
	if err != nil {
		t.Fatal(err)
	}
	patch.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(patch)
	if err != nil {
		t.Fatal(err)
	}
	if _ = res.Body.Close(); res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	_, last, _ := p.get("/api/products")
	_ = p.end(syscall.SIGKILL)
	unlock = lock(t, outside)
	p = start()
	p.servesWarm(version)
	next = p.resume(last)
	if m := next(); m.Action != "sync" || m.Version != version {
		t.Errorf("a client that is ahead is told: %.200v", m)
	}
	p.catchesUp(next, unlock, func(m message) bool { return m.Action == "update" && m.has(1) && m.has(2) && m.Version == last })
	if err := p.end(syscall.SIGTERM); err != nil {
		t.Errorf("the program ended with %v:\n%s", err, p.output.Bytes())
	}
}

func openOutside(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(60000)&_txlock=exclusive")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// lock keeps the database file from everybody else, readers too.
func lock(t *testing.T, db *sql.DB) (unlock func()) {
	t.Helper()
	if _, err := db.Exec("PRAGMA locking_mode = EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin() // BEGIN EXCLUSIVE
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("UPDATE products SET venue = venue WHERE id = 3"); err != nil {
		t.Fatal(err)
	}
	return func() {
		_, err := tx.Exec("PRAGMA locking_mode = NORMAL")
		if err = errors.Join(err, tx.Rollback()); err != nil {
			t.Fatal(err)
		}
		var n int // the lock goes with the next read
		if err := db.QueryRow("SELECT count(*) FROM products").Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWarmPostgres restarts the shop while its server is down.
func TestWarmPostgres(t *testing.T) {
	server := pgtest.Start(t)
	dsn := server.CreateDatabase(t)
	at, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(at.Path, "/")
	binary, warm := buildProgram(t), t.TempDir()
	start := func() *process {
		return startProgram(t, binary, "-db", dsn, "-warm", warm, "-rows", "200")
	}
	p := start()
	version := p.version()
	if err := p.end(syscall.SIGTERM); err != nil {
		t.Fatalf("the program ended with %v:\n%s", err, p.output.Bytes())
	}
	server.Exec(t, name, "UPDATE products SET price = 1.25 WHERE id = 1")
	server.Stop(t)
	p = start()
	p.servesWarm(version)
	if err := p.end(syscall.SIGKILL); err == nil {
		t.Error("the program was not killed")
	}
	p = start()
	p.servesWarm(version)
	next := p.resume(version)
	if m := next(); m.Action != "sync" || string(m.Payload) != `"ok"` || m.Version != version {
		t.Errorf("a client at the version is told: %+v", m)
	}
	p.catchesUp(next, func() { server.Restart(t) }, func(m message) bool { return m.Action == "update" && m.has(1) && !m.More })
	if err := p.end(syscall.SIGTERM); err != nil {
		t.Errorf("the program ended with %v:\n%s", err, p.output.Bytes())
	}
}

// BenchmarkWarmStart measures how long a restart takes to its first answer, with
// 200,000 rows and a database file that somebody else has locked.
func BenchmarkWarmStart(b *testing.B) {
	if os.Getenv("BINDERY_LONG_TESTS") == "" {
		b.Skip("BINDERY_LONG_TESTS is not set")
	}
	binary, dir := buildProgram(b), b.TempDir()
	args := []string{"-db", "sqlite:" + filepath.Join(dir, "shop.db"), "-warm", filepath.Join(dir, "warm"), "-rows", "200000"}
	p := startProgram(b, binary, args...)
	for { // it has loaded, and after quiet what it has is written
		time.Sleep(100 * time.Millisecond)
		if files, _ := filepath.Glob(filepath.Join(dir, "warm", "*.snapshot")); len(files) == 4 {
			break
		}
	}
	_ = p.end(syscall.SIGTERM)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+"?_txlock=exclusive")
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	defer func() { _ = db.Close() }()
	if _, err := db.Exec("PRAGMA locking_mode = EXCLUSIVE"); err != nil {
		b.Fatal(err)
	}
	if _, err := db.Exec("UPDATE products SET venue = venue WHERE id = 3"); err != nil {
		b.Fatal(err)
	}
	var row, list time.Duration
	for b.Loop() {
		begun := time.Now()
		p := startProgram(b, binary, args...)
		if code, _, _ := p.get("/api/products/1"); code != http.StatusOK {
			b.Fatal(code)
		}
		row += time.Since(begun)
		if code, _, _ := p.get("/api/everything"); code != http.StatusOK {
			b.Fatal(code)
		}
		list += time.Since(begun)
		b.StopTimer()
		_ = p.end(syscall.SIGKILL)
		b.StartTimer()
	}
	b.ReportMetric(float64(row.Milliseconds())/float64(b.N), "ms/row")
	b.ReportMetric(float64(list.Milliseconds())/float64(b.N), "ms/list")
}
