package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/coretest/installed"
)

// curl runs curl against the shop.
type curl struct {
	t    *testing.T
	path string
	dir  string // where it writes its files
	shop *running
}

func newCurl(t *testing.T, rows int) *curl {
	t.Helper()
	path := installed.Program(t, "apt-get install curl", "curl")
	return &curl{t, path, t.TempDir(), open(t, "", rows)}
}

// file returns the path of a file for curl to write.
func (c *curl) file(name string) string { return filepath.Join(c.dir, name) }

// command makes a command that knows nothing of the user's configuration.
func (c *curl) command(ctx context.Context, path string, args ...string) *exec.Cmd {
	args = append([]string{"--disable", "--noproxy", "*", "--silent", "--show-error", "--max-time", "60"}, args...)
	return exec.CommandContext(ctx, c.path, append(args, c.shop.url+path)...)
}

// run runs curl to its end and returns what it received, the body as it
// would be written to a file.
func (c *curl) run(path string, args ...string) (status int, header http.Header, body []byte) {
	c.t.Helper()
	dump := c.file("headers")
	args = append([]string{"--dump-header", dump}, args...)
	out, err := c.command(c.t.Context(), path, args...).Output()
	if err != nil {
		c.t.Fatalf("curl %q %s: %v", args, path, err)
	}
	text, err := os.ReadFile(dump)
	if err != nil {
		c.t.Fatal(err)
	}
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(text)))
	line, err := r.ReadLine()
	if err != nil {
		c.t.Fatal(err)
	}
	fields := strings.Fields(line)
	if len(fields) < 2 {
		c.t.Fatalf("the answer begins with %q", line)
	}
	if status, err = strconv.Atoi(fields[1]); err != nil {
		c.t.Fatal(err)
	}
	h, err := r.ReadMIMEHeader()
	if err != nil {
		c.t.Fatalf("headers %q: %v", text, err)
	}
	return status, http.Header(h), out
}

// reprice changes the price of a product, by curl.
func (c *curl) reprice(id int, price string, args ...string) (int, http.Header, []byte) {
	c.t.Helper()
	return c.run(fmt.Sprintf("api/products/%d", id), append([]string{
		"--request", "PATCH", "--header", "Content-Type: application/merge-patch+json", "--data", `{"price":` + price + `}`,
	}, args...)...)
}

// TestCurlETags: curl keeps a tag between runs, and gets a 304 for it until
// there is a change.
func TestCurlETags(t *testing.T) {
	c := newCurl(t, 40)
	tag := c.file("etag")
	keep := []string{"--etag-save", tag, "--etag-compare", tag}
	status, header, first := c.run("api/products", keep...)
	if status != http.StatusOK || len(rowsOf(t, first)) != 36 || header.Get("Etag") == "" {
		t.Fatalf("%d %q", status, header)
	}
	for range 2 {
		status, again, body := c.run("api/products", keep...)
		if status != http.StatusNotModified || len(body) != 0 || again.Get("Etag") != header.Get("Etag") {
			t.Fatalf("again: %d %q", status, again)
		}
	}
	if status, _, body := c.reprice(1, "0.25"); status != http.StatusOK {
		t.Fatalf("PATCH: %d %s", status, body)
	}
	status, after, body := c.run("api/products", keep...)
	if status != http.StatusOK || after.Get("Etag") == header.Get("Etag") || !bytes.Contains(body, []byte(`"price":0.25`)) {
		t.Fatalf("after a change: %d %q", status, after)
	}
	if status, _, _ := c.run("api/products", keep...); status != http.StatusNotModified {
		t.Errorf("after a change, again: %d", status)
	}
	// A row and a page have tags of their own.
	for _, path := range []string{"api/products/2", "api/products?limit=5&offset=5"} {
		tag := c.file("etag of its own")
		_ = os.Remove(tag)
		for _, want := range []int{http.StatusOK, http.StatusNotModified} {
			if status, _, _ := c.run(path, "--etag-save", tag, "--etag-compare", tag); status != want {
				t.Errorf("%s: %d, want %d", path, status, want)
			}
		}
	}
}

// TestCurlDates: a file that curl has dated as the answer was is up to date
// until there is a change, and never again after it.
func TestCurlDates(t *testing.T) {
	c := newCurl(t, 40)
	list := c.file("list.json")
	// A date is shown when its second has passed.
	dated := func() {
		t.Helper()
		eventually(t, "Last-Modified", func() bool {
			_, header, _ := c.run("api/products", "--head")
			return header.Get("Last-Modified") != ""
		})
		if status, _, _ := c.run("api/products", "--remote-time", "--output", list); status != http.StatusOK {
			t.Fatalf("getting the list: %d", status)
		}
		if status, _, _ := c.run("api/products", "--time-cond", list); status != http.StatusNotModified {
			t.Fatalf("if modified since the file: %d", status)
		}
	}
	dated()
	for _, price := range []string{"0.25", "0.5"} {
		if status, _, body := c.reprice(1, price); status != http.StatusOK {
			t.Fatalf("PATCH: %d %s", status, body)
		}
		status, header, body := c.run("api/products", "--time-cond", list)
		if status != http.StatusOK || !bytes.Contains(body, []byte(`"price":`+price)) {
			t.Fatalf("if modified since, after a change: %d %q", status, header)
		}
	}
	if status, _, _ := c.run("api/products", "--time-cond", "-"+list); status != http.StatusPreconditionFailed {
		t.Errorf("if unmodified since, after a change: %d", status)
	}
	dated()
	if status, _, _ := c.run("api/products", "--time-cond", "-"+list); status != http.StatusOK {
		t.Errorf("if unmodified since, without a change: %d", status)
	}
}

// TestCurlCodings: curl unpacks every coding that it knows to the same body,
// and each has a tag that gets a 304.
func TestCurlCodings(t *testing.T) {
	c := newCurl(t, 200)
	version, err := exec.CommandContext(t.Context(), c.path, "--disable", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, header, plain := c.run("api/everything")
	if header.Get("Content-Encoding") != "" || len(rowsOf(t, plain)) != 200 {
		t.Fatalf("%q", header)
	}
	token := strings.Trim(header.Get("Etag"), `"`)
	tags := map[string]bool{header.Get("Etag"): true}
	for coding, feature := range map[string]string{"gzip": "libz", "br": "brotli", "zstd": "zstd"} {
		if !lists(string(version), feature) {
			t.Logf("this curl does not know %s", coding)
			continue
		}
		ask := []string{"--compressed", "--header", "Accept-Encoding: " + coding}
		status, header, body := c.run("api/everything", append(ask, "--etag-save", c.file(coding))...)
		if status != http.StatusOK || header.Get("Content-Encoding") != coding || !bytes.Equal(body, plain) {
			t.Errorf("%s: %d %q, %d bytes unpacked of %d", coding, status, header, len(body), len(plain))
		}
		if got, want := header.Get("Etag"), `"`+token+"-"+coding+`"`; got != want || tags[got] {
			t.Errorf("the tag of %s is %s, want %s", coding, got, want)
		}
		tags[header.Get("Etag")] = true
		if length, err := strconv.Atoi(header.Get("Content-Length")); err != nil || length >= len(plain)/2 {
			t.Errorf("%s: Content-Length %q of %d bytes", coding, header.Get("Content-Length"), len(plain))
		}
		if status, _, _ := c.run("api/everything", append(ask, "--etag-compare", c.file(coding))...); status != http.StatusNotModified {
			t.Errorf("%s, again: %d", coding, status)
		}
		// What this client cannot read is no answer to it.
		if status, _, body := c.run("api/everything", "--header", "Accept-Encoding: identity", "--etag-compare", c.file(coding)); status != http.StatusOK || !bytes.Equal(body, plain) {
			t.Errorf("with the tag of %s and without the coding: %d", coding, status)
		}
	}
	// All that curl knows at once: it may choose.
	status, header, body := c.run("api/everything", "--compressed")
	if status != http.StatusOK || header.Get("Content-Encoding") == "" || !bytes.Equal(body, plain) {
		t.Errorf("--compressed: %d %q", status, header)
	}
}

// lists reports whether what curl says of itself lists a feature, or a library
// with its version.
func lists(version, feature string) bool {
	return slices.ContainsFunc(strings.Fields(version), func(word string) bool {
		name, _, _ := strings.Cut(word, "/")
		return strings.EqualFold(name, feature)
	})
}

// TestCurlHead: HEAD answers what GET would, and nothing else.
func TestCurlHead(t *testing.T) {
	c := newCurl(t, 40)
	for _, path := range []string{"api/products", "api/products/1", "api/products?limit=7&offset=7"} {
		for _, coding := range []string{"identity", "gzip"} {
			accept := "Accept-Encoding: " + coding
			status, get, body := c.run(path, "--header", accept)
			headStatus, head, out := c.run(path, "--head", "--header", accept, "--output", os.DevNull)
			if status != http.StatusOK || headStatus != status || len(out) != 0 {
				t.Errorf("%s in %s: GET %d, HEAD %d", path, coding, status, headStatus)
			}
			if head.Get("Content-Length") != strconv.Itoa(len(body)) {
				t.Errorf("%s in %s: HEAD announces %s bytes, GET sends %d", path, coding, head.Get("Content-Length"), len(body))
			}
			for _, h := range []http.Header{get, head} {
				h.Del("Date")
				h.Del("Last-Modified") // its second may pass in between
			}
			if fmt.Sprint(get) != fmt.Sprint(head) {
				t.Errorf("%s in %s: GET bears %q, HEAD %q", path, coding, get, head)
			}
		}
	}
	if status, _, _ := c.run("api/products/99999", "--head"); status != http.StatusNotFound {
		t.Errorf("HEAD of what is not there: %d", status)
	}
}

// TestCurlWrites: who has the current tag may write, in the order of a careful
// editor; who has an old one may not.
func TestCurlWrites(t *testing.T) {
	c := newCurl(t, 40)
	_, header, _ := c.run("api/products/1")
	old := header.Get("Etag")
	status, header, body := c.reprice(1, "0.25", "--header", "If-Match: "+old)
	if status != http.StatusOK || header.Get("Etag") == old {
		t.Fatalf("PATCH: %d %q %s", status, header, body)
	}
	if _, got, _ := c.run("api/products/1"); got.Get("Etag") != header.Get("Etag") {
		t.Errorf("PATCH answered with %s, GET with %s", header.Get("Etag"), got.Get("Etag"))
	}
	status, refusal, _ := c.reprice(1, "99", "--header", "If-Match: "+old)
	if status != http.StatusPreconditionFailed || refusal.Get("Content-Type") != "application/problem+json" {
		t.Errorf("PATCH with the old tag: %d %q", status, refusal)
	}
	current := header.Get("Etag")
	if status, _, _ := c.reprice(1, "99", "--header", "If-Match: W/"+current); status != http.StatusPreconditionFailed {
		t.Errorf("PATCH with a weak tag: %d", status)
	}
	// The tag of the body in any coding is as good.
	if status, _, body := c.reprice(1, "0.75", "--header", `If-Match: "other", `+strings.TrimSuffix(current, `"`)+`-gzip"`); status != http.StatusOK {
		t.Errorf("PATCH with the tag of a coding: %d %s", status, body)
	}

	status, header, body = c.run("api/products", "--json", `{"name":"Kind of Blue","venue":"store","price":12.5,"active":true}`)
	if status != http.StatusCreated || header.Get("Location") == "" {
		t.Fatalf("POST: %d %q %s", status, header, body)
	}
	made := strings.TrimPrefix(header.Get("Location"), "/")
	status, header, body = c.run(made, "--request", "PUT", "--header", "If-Match: "+header.Get("Etag"),
		"--json", `{"name":"Blue Train","venue":"store","price":13,"active":true}`)
	if status != http.StatusOK || !bytes.Contains(body, []byte("Blue Train")) {
		t.Fatalf("PUT: %d %q %s", status, header, body)
	}
	if status, _, _ := c.run(made, "--request", "DELETE", "--header", `If-Match: "other"`); status != http.StatusPreconditionFailed {
		t.Errorf("DELETE with another tag: %d", status)
	}
	if status, _, _ := c.run(made, "--request", "DELETE", "--header", "If-Match: "+header.Get("Etag")); status != http.StatusNoContent {
		t.Errorf("DELETE: %d", status)
	}
	// A body beyond the bound, which curl announces and waits to be asked for.
	big := c.file("big")
	if err := os.WriteFile(big, bytes.Repeat([]byte(" "), 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := c.run("api/products", "--json", "@"+big); status != http.StatusRequestEntityTooLarge {
		t.Errorf("2 MiB: %d", status)
	}
}

// TestCurlStream: a stream that curl follows shows a change at once, and one
// that begins at an id, or at the tag of an answer, goes on from there.
func TestCurlStream(t *testing.T) {
	c := newCurl(t, 40)
	_, header, _ := c.run("api/products")
	stream := c.follow("events/products")
	stream.until("event: sync")
	id := stream.until("id: ")
	if `"`+id+`"` != header.Get("Etag") {
		t.Errorf("the stream is at %s, the answer at %s", id, header.Get("Etag"))
	}
	if status, _, body := c.reprice(1, "0.25"); status != http.StatusOK {
		t.Fatalf("PATCH: %d %s", status, body)
	}
	stream.until("event: update")
	next := stream.until("id: ")
	if data := stream.until("data: "); next == id || !strings.Contains(data, `"price":0.25`) {
		t.Errorf("the update at %s: %s", next, data)
	}
	stream.stop()

	tag := strings.Trim(header.Get("Etag"), `"`)
	for _, resume := range []struct{ what, version, lastEventID, event, data string }{
		{"the header", "", id, "update", `"price":0.25`},
		{"the answer's tag", tag, "", "update", `"price":0.25`},
		{"a coding's tag", tag + "-gzip", "", "update", `"price":0.25`},
		{"the header before the parameter", next, id, "update", `"price":0.25`},
		{"the current version", "", next, "sync", `"payload":"ok"`},
		{"what never was", "never", "", "sync", `"page":1`},
	} {
		again := c.follow("events/products?version="+resume.version, "--header", "Last-Event-ID: "+resume.lastEventID)
		if event := again.until("event: "); event != resume.event {
			t.Errorf("resumed by %s: %s, want %s", resume.what, event, resume.event)
		}
		if at := again.until("id: "); at != next {
			t.Errorf("resumed by %s: at %s, want %s", resume.what, at, next)
		}
		if data := again.until("data: "); !strings.Contains(data, resume.data) {
			t.Errorf("resumed by %s: %.300s", resume.what, data)
		}
		again.stop()
	}

	// A stream ends in good order with the shop: an error would be curl's exit.
	last := c.follow("events/products")
	last.until("event: sync")
	c.shop.stop()
	last.end()
}

// following is a stream that curl prints.
type following struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	stderr coretest.Output
	cancel context.CancelFunc
	ended  bool
}

// follow begins to read a stream, without curl's own buffer.
func (c *curl) follow(path string, args ...string) *following {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	f := &following{t: c.t, cancel: cancel, cmd: c.command(ctx, path, append(args, "--no-buffer", "--fail")...)}
	f.cmd.Stderr = &f.stderr
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(f.stop)
	f.lines = bufio.NewScanner(out)
	f.lines.Buffer(nil, 16<<20)
	return f
}

// until reads to the next line that begins so, and returns the rest of it.
func (f *following) until(prefix string) string {
	f.t.Helper()
	for f.lines.Scan() {
		if rest, ok := strings.CutPrefix(f.lines.Text(), prefix); ok {
			return rest
		}
	}
	f.t.Fatalf("the stream ended before %q: %v %s", prefix, f.lines.Err(), f.stderr.String())
	return ""
}

// stop ends curl.
func (f *following) stop() {
	if f.ended {
		return
	}
	f.ended = true
	f.cancel()
	_ = f.cmd.Wait() // it was killed
}

// end waits for curl to end by itself.
func (f *following) end() {
	f.t.Helper()
	for f.lines.Scan() {
	}
	f.ended = true
	if err := f.cmd.Wait(); err != nil {
		f.t.Errorf("curl ended with %v: %s", err, f.stderr.String())
	}
	f.cancel()
}
