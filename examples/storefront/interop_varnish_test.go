package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/coretest/installed"
)

// startVarnish runs Varnish in front of the origin.
func startVarnish(t *testing.T, o *origin) *daemon {
	t.Helper()
	path := installed.Program(t, "apt-get install varnish", "varnishd")
	host, port, err := net.SplitHostPort(o.addr)
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	socket := filepath.Join(dir, "socket")
	vcl := fillIn(t, dir, "varnish.vcl", map[string]string{"Host": host, "Port": port})
	// In the foreground, with the rights that the test has, without a port
	// for its administration, and little memory.
	return startDaemon(t, socket, path, "-j", "none", "-F", "-n", filepath.Join(dir, "work"),
		"-a", socket, "-T", "none", "-s", "malloc,16m", "-f", vcl)
}

// TestVarnishRevalidates: Varnish holds the packed body, serves it to all, asks
// for it by its tag and is told that it has not changed; a change shows.
func TestVarnishRevalidates(t *testing.T) {
	o := newOrigin(t)
	p := o.through(startVarnish(t, o))
	ask := func(coding, tag string) (int, http.Header, []byte) {
		t.Helper()
		header := http.Header{"Accept-Encoding": {coding}}
		if tag != "" {
			header.Set("If-None-Match", tag)
		}
		return p.do("GET", "api/items", header, "")
	}
	// shows checks what both kinds of clients see.
	shows := func() (strong, weak string) {
		t.Helper()
		plain, token := o.body()
		strong, weak = `"`+token+`-gzip"`, `W/"`+token+`-gzip"`
		code, header, body := ask("gzip", "")
		if code != http.StatusOK || header.Get("ETag") != strong || header.Get("Content-Encoding") != "gzip" || !bytes.Equal(unpack(t, body), plain) {
			t.Fatalf("packed, at %s: %d %q", token, code, header)
		}
		code, header, body = ask("identity", "")
		if code != http.StatusOK || header.Get("ETag") != weak || header.Get("Content-Encoding") != "" || !bytes.Equal(body, plain) {
			t.Fatalf("unpacked, at %s: %d %q", token, code, header)
		}
		for _, again := range []struct{ coding, tag string }{{"gzip", strong}, {"gzip", weak}, {"identity", weak}} {
			if code, header, body := ask(again.coding, again.tag); code != http.StatusNotModified || len(body) != 0 {
				t.Errorf("%s in %s: %d %q", again.tag, again.coding, code, header)
			}
		}
		return strong, weak
	}
	revalidated := func(tag string) func() bool {
		return func() bool {
			shows()
			return o.was(func(a asked) bool { return a.noneMatch == tag && a.status == http.StatusNotModified })
		}
	}

	strong, _ := shows()
	eventually(t, "revalidated", revalidated(strong))
	o.rename(1, "changed")
	_, token := o.body()
	eventually(t, "the change", func() bool {
		_, header, _ := ask("gzip", "")
		return header.Get("ETag") == `"`+token+`-gzip"`
	})
	if code, _, _ := ask("gzip", strong); code != http.StatusOK {
		t.Errorf("with the tag of before the change: %d", code)
	}
	strong, _ = shows()
	eventually(t, "revalidated after the change", revalidated(strong))
}

// TestVarnishKeepsNothing: of what may not be kept, nothing old is shown, and
// yet a client gets its 304.
func TestVarnishKeepsNothing(t *testing.T) {
	o := newOrigin(t)
	p := o.through(startVarnish(t, o))
	for _, coding := range []string{"gzip", "identity", "gzip"} {
		o.rename(1, "asked for in "+coding)
		ask := http.Header{"Accept-Encoding": {coding}}
		code, header, body := p.do("GET", "api/fresh", ask, "")
		if header.Get("Content-Encoding") == "gzip" {
			body = unpack(t, body)
		}
		if plain, _ := o.body(); code != http.StatusOK || !bytes.Equal(body, plain) {
			t.Errorf("%s: %d %q", coding, code, header)
		}
		ask.Set("If-None-Match", header.Get("ETag"))
		if code, header, _ := p.do("GET", "api/fresh", ask, ""); code != http.StatusNotModified {
			t.Errorf("%s, again: %d %q", coding, code, header)
		}
	}
}

// TestVarnishDates: a cache that goes by Last-Modified alone is never told that
// something old is still good, however the changes fall into the seconds; and
// it is told so when nothing has changed.
func TestVarnishDates(t *testing.T) {
	o := newOrigin(t)
	p := o.through(startVarnish(t, o))
	p.url = "http://dates/"
	current := func() (http.Header, bool) {
		t.Helper()
		plain, token := o.body()
		_, header, body := p.do("GET", "api/items", http.Header{"Accept-Encoding": {"identity"}}, "")
		same := bytes.Equal(body, plain)
		if named := strings.Contains(header.Get("ETag"), token); named != same {
			t.Fatalf("the tag %s on another body: %.200s", header.Get("ETag"), body)
		}
		return header, same
	}
	spared := func() bool {
		return o.was(func(a asked) bool {
			return a.path == "/api/items" && a.since != "" && a.noneMatch == "" && a.status == http.StatusNotModified
		})
	}
	for begun, i := time.Now(), 0; time.Since(begun) < 3*time.Second; i++ {
		o.rename(1, fmt.Sprintf("change %d", i))
		eventually(t, fmt.Sprintf("change %d", i), func() bool {
			_, same := current()
			return same
		})
	}
	eventually(t, "a date, and a 304 for it", func() bool {
		if _, same := current(); !same {
			t.Fatal("what was shown is shown no more")
		}
		return spared()
	})
	o.rename(1, "last")
	eventually(t, "the last change", func() bool {
		_, same := current()
		return same
	})
}

// TestVarnishWrites: a client behind Varnish may write with the tag that it was
// given, also that of a body that Varnish has unpacked, without the mark of
// weakness that Varnish puts on it.
func TestVarnishWrites(t *testing.T) {
	o := newOrigin(t)
	p := o.through(startVarnish(t, o))
	long := item{50, "first", strings.Repeat("a long story ", 200)}
	if err := o.source.Report(t.Context(), o.table.Put(long)); err != nil {
		t.Fatal(err)
	}
	patch := func(tag, name string) (int, http.Header) {
		t.Helper()
		code, header, _ := p.do("PATCH", "api/items/50", http.Header{
			"Content-Type": {"application/merge-patch+json"}, "If-Match": {tag},
		}, `{"name":"`+name+`"}`)
		return code, header
	}
	_, packed, _ := p.do("GET", "api/items/50", http.Header{"Accept-Encoding": {"gzip"}}, "")
	_, plain, _ := p.do("GET", "api/items/50", http.Header{"Accept-Encoding": {"identity"}}, "")
	strong, weak := packed.Get("ETag"), plain.Get("ETag")
	if !strings.HasSuffix(strong, `-gzip"`) || weak != "W/"+strong {
		t.Fatalf("the tags are %s and %s", strong, weak)
	}
	if code, _ := patch(weak, "second"); code != http.StatusPreconditionFailed {
		t.Errorf("a weak tag: %d", code)
	}
	code, header := patch(strong, "second")
	if code != http.StatusOK {
		t.Fatalf("the tag as it was given: %d", code)
	}
	if code, _ := patch(strong, "third"); code != http.StatusPreconditionFailed {
		t.Errorf("the tag of before: %d", code)
	}
	if code, _ := patch(header.Get("ETag"), "third"); code != http.StatusOK {
		t.Errorf("the tag that the write was answered with: %d", code)
	}
	if !o.was(func(a asked) bool { return a.method == "PATCH" && a.match == strong && a.status == http.StatusOK }) {
		t.Errorf("the condition did not reach the origin")
	}
}

// TestVarnishStreams: an event stream passes through Varnish as it is made, to
// several clients.
func TestVarnishStreams(t *testing.T) {
	o := newOrigin(t)
	d := startVarnish(t, o)
	var streams []func() message
	for range 3 {
		client := d.client()
		client.Timeout = 60 * time.Second // of the whole stream
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://shop/events/items", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		streams = append(streams, func() (m message) {
			t.Helper()
			for lines.Scan() {
				if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
					if err := json.Unmarshal([]byte(data), &m); err != nil {
						t.Fatal(err)
					}
					return m
				}
			}
			t.Fatalf("the stream ended: %v", lines.Err())
			return m
		})
	}
	for _, next := range streams {
		if m := next(); m.Action != "sync" {
			t.Fatalf("the first message is %q", m.Action)
		}
	}
	for i := range 3 {
		name := fmt.Sprintf("change %d", i)
		o.rename(3, name)
		for _, next := range streams {
			if m := next(); m.Action != "update" || !bytes.Contains(m.Payload, []byte(name)) {
				t.Errorf("%s: %s %.200s", name, m.Action, m.Payload)
			}
		}
	}
}
