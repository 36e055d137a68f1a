package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/coretest/installed"
)

// nodeModules returns the directory in which npm has put what the scripts import, or
// ends the test.
func nodeModules(t *testing.T, packages ...string) string {
	t.Helper()
	return installed.NodePackages(t, "ws@8 eventsource@4 socket.io-client@4", packages...)
}

// script is a program in Node that is told what to do and reports what comes.
type script struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  *bufio.Scanner
	stderr coretest.Output
	end    func() // ends the script and waits for it
}

// told is what a script reports.
type told struct {
	On       string
	Event    string
	Version  string            // of a batch
	Actions  []string          // of a batch, one for each message
	Versions []string          // likewise
	IDs      []string          // likewise: the client's last event id
	Rows     []json.RawMessage // after the batch
	Current  bool              // the batch was a sync that said "ok"
	Message  json.RawMessage   // any other message
	Code     int
	Reason   string
	State    int
}

// startScript runs a script of testdata/interop until the end of the test. The
// test ought to end it before its shop: Node keeps connections ready that were
// never used, and for those the shutdown of Go's HTTP server waits up to 5 s.
func startScript(t *testing.T, name, npmPackage string) *script {
	t.Helper()
	node := installed.Program(t, "apt-get install nodejs npm", "node")
	modules := nodeModules(t, npmPackage)
	// Node looks for packages beside the script.
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "interop"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	s := &script{t: t, cmd: exec.CommandContext(ctx, node, filepath.Join(dir, name))}
	s.cmd.Stderr = &s.stderr
	in, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.in, s.lines = in, bufio.NewScanner(out)
	s.lines.Buffer(nil, 16<<20)
	s.end = sync.OnceFunc(func() {
		defer cancel()
		_ = s.in.Close() // which ends it
		for s.lines.Scan() {
		}
		if err := s.cmd.Wait(); err != nil {
			t.Errorf("%s ended with %v: %s", name, err, s.stderr.String())
		}
	})
	t.Cleanup(s.end)
	return s
}

// do gives a command: what it is called and what it is given.
func (s *script) do(command string, with any) {
	s.t.Helper()
	s.tell(map[string]any{command: with})
}

func (s *script) tell(command map[string]any) {
	s.t.Helper()
	line, err := json.Marshal(command)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.in.Write(append(line, '\n')); err != nil {
		s.t.Fatalf("telling the script: %v", err)
	}
}

// next returns what the script reports next, which must be of that kind, or of
// one of the others, which are passed over.
func (s *script) next(on string, others ...string) told {
	s.t.Helper()
	for s.lines.Scan() {
		var r told
		if err := json.Unmarshal(s.lines.Bytes(), &r); err != nil {
			s.t.Fatalf("report %.300q: %v", s.lines.Text(), err)
		}
		if r.On == on {
			return r
		}
		if !slices.Contains(others, r.On) {
			s.t.Fatalf("waiting for %s: %.500s", on, s.lines.Text())
		}
	}
	s.t.Fatalf("the script ended before %s: %v %s", on, s.lines.Err(), s.stderr.String())
	return told{}
}

// holds checks that a client has after a batch what the list says now.
func (r *running) holds(batch told) {
	r.t.Helper()
	code, header, body := r.do("GET", "api/"+batch.Event, http.Header{"Accept-Encoding": {"identity"}})
	if code != http.StatusOK || header.Get("ETag") != `"`+batch.Version+`"` {
		r.t.Errorf("the client is at %s of %s, the list (%d) at %s", batch.Version, batch.Event, code, header.Get("ETag"))
	}
	rows, err := json.Marshal(batch.Rows)
	if err != nil {
		r.t.Fatal(err)
	}
	if got, want := fieldsOf(r.t, rows), fieldsOf(r.t, body); !reflect.DeepEqual(got, want) {
		r.t.Errorf("the client holds %d rows that differ from the list's %d: %.500s", len(got), len(want), rows)
	}
	for _, v := range batch.Versions {
		if v != batch.Version {
			r.t.Errorf("a batch of the versions %q", batch.Versions)
		}
	}
}

// fieldsOf reads rows by their id, whatever their JSON looks like.
func fieldsOf(t *testing.T, body []byte) map[int]any {
	t.Helper()
	rows := make(map[int]any)
	for id, row := range rowsOf(t, body) {
		var fields any
		if err := json.Unmarshal(row, &fields); err != nil {
			t.Fatal(err)
		}
		rows[id] = fields
	}
	return rows
}

// acts checks what a batch consisted of.
func (b told) acts(t *testing.T, want ...string) {
	t.Helper()
	got := slices.Sorted(slices.Values(b.Actions))
	if !slices.Equal(got, want) {
		t.Errorf("a batch of %q, want %q", got, want)
	}
}

// nodeShop is a shop with a database that the test can write to from outside.
type nodeShop struct {
	*running
	dsn     string
	rows    int
	outside *sql.DB
}

func openNodeShop(t *testing.T, rows int) *nodeShop {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.db")
	outside, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = outside.Close() })
	dsn := "sqlite:" + path
	return &nodeShop{running: open(t, dsn, rows), dsn: dsn, rows: rows, outside: outside}
}

// again opens the shop anew at the same address, after it has stopped.
func (s *nodeShop) again() {
	s.t.Helper()
	addr := strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/")
	s.running = openAt(s.t, addr, s.dsn, s.rows)
}

func (s *nodeShop) exec(statement string) {
	s.t.Helper()
	if _, err := s.outside.ExecContext(s.t.Context(), statement); err != nil {
		s.t.Fatal(err)
	}
}

func (s *nodeShop) reprice(id int, price string) {
	s.t.Helper()
	code, _, body := s.do("PATCH", fmt.Sprintf("api/products/%d", id), http.Header{"Content-Type": {"application/merge-patch+json"}}, `{"price":`+price+`}`)
	if code != http.StatusOK {
		s.t.Fatalf("PATCH: %d %s", code, body)
	}
}

// swap lets one row leave the products and another come, in one statement.
func (s *nodeShop) swap() {
	s.t.Helper()
	s.exec(`UPDATE products SET active = NOT active WHERE id IN (
		(SELECT min(id) FROM products WHERE active), (SELECT min(id) FROM products WHERE NOT active))`)
}

// TestNPMWebSocket: the npm client ws holds at every version what the list
// says, also after it was cut off, and after a restart of the shop.
func TestNPMWebSocket(t *testing.T) {
	shop := openNodeShop(t, 2500)
	client := startScript(t, "ws.mjs", "ws")
	defer client.end()
	url := "ws" + strings.TrimPrefix(shop.url, "http") + "ws"
	connect := func(join map[string]any) told {
		t.Helper()
		client.do("open", url)
		client.next("open")
		client.do("send", join)
		return client.next("batch")
	}

	// Join and sync, in pages.
	batch := connect(map[string]any{"event": "products"})
	batch.acts(t, "sync", "sync", "sync")
	shop.holds(batch)
	shop.reprice(5, "0.25")
	batch = client.next("batch")
	batch.acts(t, "update")
	shop.holds(batch)
	shop.swap()
	batch = client.next("batch")
	batch.acts(t, "create", "delete")
	shop.holds(batch)

	// Another binding on the same connection, one page, and mistakes.
	client.do("send", map[string]any{"event": "cheapest"})
	cheapest := client.next("batch")
	cheapest.acts(t, "sync")
	shop.holds(cheapest)
	client.do("send", map[string]any{"event": "products", "page": 2})
	if page := client.next("page"); !bytes.Contains(page.Message, []byte(`"page":2,"pages":3`)) {
		t.Errorf("page 2: %.300s", page.Message)
	}
	client.do("send", map[string]any{"event": "nothing"})
	if refusal := client.next("error"); !bytes.Contains(refusal.Message, []byte(`"event":"nothing"`)) {
		t.Errorf("an unknown event: %s", refusal.Message)
	}
	client.do("text", `{"event":`)
	if refusal := client.next("error"); bytes.Contains(refusal.Message, []byte(`"event"`)) {
		t.Errorf("malformed JSON: %s", refusal.Message)
	}
	client.do("send", map[string]any{"event": "cheapest", "disconnect": true})
	client.next("leave")

	// Cut off while the rows change: the events since, or "ok" without any.
	client.do("drop", true)
	if end := client.next("close"); end.Code != 1006 {
		t.Errorf("dropped: %d", end.Code)
	}
	shop.reprice(5, "0.5")
	resumed := connect(map[string]any{"event": "products", "version": batch.Version})
	resumed.acts(t, "update")
	shop.holds(resumed)
	client.do("close", true)
	if end := client.next("close"); end.Code != 1000 {
		t.Errorf("a close was answered with %d", end.Code)
	}
	same := connect(map[string]any{"event": "products", "version": resumed.Version})
	if !same.Current || same.Version != resumed.Version {
		t.Errorf("resumed at the current version: %q %s", same.Actions, same.Version)
	}

	// The shop ends and comes back, on unchanged data and then on others.
	shop.stop()
	if end := client.next("close"); end.Code != 1001 {
		t.Errorf("at shutdown: %d %s", end.Code, end.Reason)
	}
	shop.again()
	if same := connect(map[string]any{"event": "products", "version": resumed.Version}); !same.Current {
		t.Errorf("after a restart: %q", same.Actions)
	}
	shop.stop()
	client.next("close")
	shop.swap()
	shop.again()
	batch = connect(map[string]any{"event": "products", "version": resumed.Version})
	batch.acts(t, "sync", "sync", "sync")
	shop.holds(batch)

	// Leaving is confirmed, and nothing comes after it.
	client.do("send", map[string]any{"event": "products", "disconnect": true})
	client.next("leave")
	shop.reprice(5, "0.75")
	client.do("send", map[string]any{"event": "cheapest"})
	shop.holds(client.next("batch"))
	client.do("drop", true)
	client.next("close")

	// What is no message ends the connection, and says why.
	for _, bad := range []struct {
		what   string
		bytes  []byte
		binary bool
		code   int
	}{
		{"a binary message", []byte(`{"event":"products"}`), true, 1003},
		{"text that is not UTF-8", []byte("{\"event\":\"\xff\"}"), false, 1007},
		{"a message that is too long", bytes.Repeat([]byte(" "), 65<<10), false, 1009},
	} {
		client.do("open", url)
		client.next("open")
		client.tell(map[string]any{"base64": base64.StdEncoding.EncodeToString(bad.bytes), "binary": bad.binary})
		if end := client.next("close"); end.Code != bad.code {
			t.Errorf("%s: %d %s, want %d", bad.what, end.Code, end.Reason, bad.code)
		}
	}
}

// TestNPMEventSource: the npm client eventsource holds at every version what
// the list says, and goes on by itself where it was when the shop comes back.
func TestNPMEventSource(t *testing.T) {
	shop := openNodeShop(t, 2500)
	client := startScript(t, "eventsource.mjs", "eventsource")
	defer client.end()
	next := func() told {
		t.Helper()
		batch := client.next("batch", "open", "error")
		for i, id := range batch.IDs {
			// Only what can be resumed from is remembered.
			if last := i == len(batch.IDs)-1; last != (id == batch.Version) {
				t.Errorf("the ids of a batch of %s: %q", batch.Version, batch.IDs)
			}
		}
		return batch
	}

	client.do("open", shop.url+"events/products")
	client.next("open")
	batch := next()
	batch.acts(t, "sync", "sync", "sync")
	shop.holds(batch)
	shop.reprice(5, "0.25")
	batch = next()
	batch.acts(t, "update")
	shop.holds(batch)
	shop.swap()
	batch = next()
	batch.acts(t, "create", "delete")
	shop.holds(batch)

	// The shop comes back on unchanged data: that it says "ok" shows that it
	// was sent the Last-Event-ID. The next one has changed, and so all is sent.
	shop.stop()
	client.next("error")
	shop.again()
	if same := next(); !same.Current || same.Version != batch.Version {
		t.Errorf("after a restart: %q at %s, was %s", same.Actions, same.Version, batch.Version)
	}
	shop.reprice(5, "0.5")
	batch = next()
	batch.acts(t, "update")
	shop.holds(batch)
	shop.stop()
	client.next("error")
	shop.swap()
	shop.again()
	batch = next()
	batch.acts(t, "sync", "sync", "sync")
	shop.holds(batch)
	client.do("close", true)
	client.next("closed", "open", "error")

	// A stream that begins at the tag of an answer.
	_, header, _ := shop.do("GET", "api/products", nil)
	shop.reprice(5, "0.75")
	client.do("open", shop.url+"events/products?version="+strings.Trim(header.Get("ETag"), `"`))
	client.next("open")
	batch = next()
	batch.acts(t, "update")
	shop.holds(batch)
	client.do("close", true)
	client.next("closed")

	// What is refused is not asked for again.
	client.do("open", shop.url+"events/nothing")
	if refusal := client.next("error"); refusal.Code != http.StatusNotFound || refusal.State != 2 {
		t.Errorf("an unknown binding: %+v", refusal)
	}
}

// TestNPMEventSourceSeveral: several bindings on one stream go on together.
func TestNPMEventSourceSeveral(t *testing.T) {
	shop := openNodeShop(t, 50)
	client := startScript(t, "eventsource.mjs", "eventsource")
	defer client.end()
	client.do("open", shop.url+"events?event=products&event=cheapest")
	client.next("open")
	next := func() told {
		t.Helper()
		return client.next("batch", "open", "error")
	}
	held := map[string]told{}
	for range 2 {
		batch := next()
		batch.acts(t, "sync")
		shop.holds(batch)
		held[batch.Event] = batch
	}
	shop.stop()
	client.next("error")
	shop.again()
	for range 2 {
		if batch := next(); !batch.Current || batch.Version != held[batch.Event].Version {
			t.Errorf("after a restart: %s %q at %s", batch.Event, batch.Actions, batch.Version)
		}
	}
	shop.reprice(5, "0.01") // the cheapest of all
	for range 2 {
		batch := next()
		shop.holds(batch)
		held[batch.Event] = batch
	}
	shop.stop()
	client.next("error")
	// What one of them shows changes while the shop is away: the other goes on.
	shop.exec(`UPDATE products SET price = 900 WHERE id = (SELECT max(id) FROM products WHERE active)`)
	shop.again()
	for range 2 {
		batch := next()
		if batch.Current != (batch.Event == "cheapest") {
			t.Errorf("%s after a restart with a change to products: %q", batch.Event, batch.Actions)
		}
		shop.holds(batch)
	}
}
