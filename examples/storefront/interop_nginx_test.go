package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/coretest/installed"
	"github.com/gorilla/websocket"
)

// startNginx runs nginx in front of the origin.
func startNginx(t *testing.T, o *origin) *daemon {
	t.Helper()
	path := installed.Program(t, "apt-get install nginx-light", "nginx")
	dir := shortDir(t)
	socket := filepath.Join(dir, "socket")
	conf := fillIn(t, dir, "nginx.conf", map[string]string{"Dir": dir, "Socket": socket, "Origin": o.addr})
	return startDaemon(t, socket, path, "-e", "stderr", "-p", dir, "-c", conf)
}

// TestNginxRevalidates: what nginx holds, in each coding, is asked for again by
// its tag, the origin says that it has not changed, and a change shows.
func TestNginxRevalidates(t *testing.T) {
	o := newOrigin(t)
	p := o.through(startNginx(t, o))
	codings := []string{"identity", "gzip", "zstd"}
	get := func(coding string) (header http.Header, body []byte) {
		t.Helper()
		code, header, body := p.do("GET", "api/items", http.Header{"Accept-Encoding": {coding}}, "")
		if got := cmp.Or(header.Get("Content-Encoding"), "identity"); code != http.StatusOK || got != coding {
			t.Fatalf("asked for %s: %d %q", coding, code, header)
		}
		return header, body
	}
	// ask returns what a client that shows a tag is answered.
	ask := func(coding, tag string) int {
		t.Helper()
		code, _, _ := p.do("GET", "api/items", http.Header{"Accept-Encoding": {coding}, "If-None-Match": {tag}}, "")
		return code
	}

	plain, token := o.body()
	tags, bodies := map[string]string{}, map[string][]byte{}
	for _, coding := range codings {
		tags[coding] = `"` + token + map[string]string{"identity": "", "gzip": "-gzip", "zstd": "-zstd"}[coding] + `"`
		header, body := get(coding)
		bodies[coding] = body
		if header.Get("X-Cache") != "MISS" || header.Get("ETag") != tags[coding] {
			t.Errorf("%s: %q, want the tag %s", coding, header, tags[coding])
		}
	}
	if !bytes.Equal(bodies["identity"], plain) || !bytes.Equal(unpack(t, bodies["gzip"]), plain) {
		t.Errorf("nginx passes on %.200s", bodies["identity"])
	}
	for _, coding := range codings {
		eventually(t, coding+" revalidated", func() bool {
			header, body := get(coding)
			if !bytes.Equal(body, bodies[coding]) || header.Get("ETag") != tags[coding] {
				t.Fatalf("%s without a change: %q", coding, header)
			}
			return header.Get("X-Cache") == "REVALIDATED"
		})
		if !o.was(func(a asked) bool { return a.noneMatch == tags[coding] && a.status == http.StatusNotModified }) {
			t.Errorf("%s: the origin was not asked for %s", coding, tags[coding])
		}
		if code := ask(coding, tags[coding]); code != http.StatusNotModified {
			t.Errorf("%s, to a client that has it: %d", coding, code)
		}
	}

	o.rename(1, "changed")
	plain, token = o.body()
	for _, coding := range codings {
		eventually(t, "the change in "+coding, func() bool {
			header, _ := get(coding)
			return strings.HasPrefix(header.Get("ETag"), `"`+token)
		})
		if code := ask(coding, tags[coding]); code != http.StatusOK {
			t.Errorf("%s with the tag of before the change: %d", coding, code)
		}
	}
	if _, body := get("identity"); !bytes.Equal(body, plain) {
		t.Errorf("after the change: %.200s", body)
	}
}

// TestNginxKeepsNothing: what may not be kept is not. A client's condition is
// lost in a location with proxy_cache, and passed on in one without.
func TestNginxKeepsNothing(t *testing.T) {
	o := newOrigin(t)
	p := o.through(startNginx(t, o))
	ask := http.Header{"Accept-Encoding": {"identity"}}
	for i := range 3 {
		o.rename(1, fmt.Sprintf("change %d", i))
		plain, _ := o.body()
		code, header, body := p.do("GET", "api/fresh", ask, "")
		if code != http.StatusOK || header.Get("X-Cache") != "MISS" || !bytes.Equal(body, plain) {
			t.Errorf("%d %q", code, header)
		}
		ask.Set("If-None-Match", header.Get("ETag"))
		if code, _, _ := p.do("GET", "api/fresh", ask, ""); code != http.StatusOK {
			t.Errorf("again: %d; docs/operations.md says otherwise", code)
		}
		if code, _, _ := p.do("GET", "packed/api/fresh", ask, ""); code != http.StatusNotModified {
			t.Errorf("again, without a cache: %d", code)
		}
	}
}

// TestNginxWrites: conditional writes reach the origin with their condition,
// with a tag that nginx has served from its cache and with one that it has
// weakened.
func TestNginxWrites(t *testing.T) {
	o := newOrigin(t)
	p := o.through(startNginx(t, o))
	patch := func(path, tag, name string) (int, http.Header) {
		t.Helper()
		code, header, _ := p.do("PATCH", path, http.Header{
			"Content-Type": {"application/merge-patch+json"}, "If-Match": {tag},
		}, `{"name":"`+name+`"}`)
		return code, header
	}
	_, header, _ := p.do("GET", "api/items/1", nil, "")
	old := header.Get("ETag")
	code, header := patch("api/items/1", old, "second")
	if code != http.StatusOK {
		t.Fatalf("PATCH: %d", code)
	}
	// nginx may show the old row for a second: who writes with its tag loses.
	if code, _ := patch("api/items/1", old, "third"); code != http.StatusPreconditionFailed {
		t.Errorf("PATCH with the old tag: %d", code)
	}
	if code, _ := patch("api/items/1", header.Get("ETag"), "third"); code != http.StatusOK {
		t.Errorf("PATCH with the tag of the last one: %d", code)
	}

	// What nginx has packed has a weak tag: good for a 304, not for a write.
	asGzip := http.Header{"Accept-Encoding": {"gzip"}}
	code, header, packed := p.do("GET", "packed/api/items", asGzip, "")
	body, token := o.body()
	if weak := `W/"` + token + `"`; code != http.StatusOK || header.Get("Content-Encoding") != "gzip" || header.Get("ETag") != weak {
		t.Fatalf("packed: %d %q", code, header)
	}
	if got := unpack(t, packed); !bytes.Equal(got, body) {
		t.Errorf("packed: %.200s", got)
	}
	asGzip.Set("If-None-Match", header.Get("ETag"))
	if code, _, _ := p.do("GET", "packed/api/items", asGzip, ""); code != http.StatusNotModified {
		t.Errorf("with nginx's weak tag: %d", code)
	}
	_, header, _ = p.do("GET", "packed/api/items/1", nil, "")
	if code, _ := patch("packed/api/items/1", "W/"+strings.TrimPrefix(header.Get("ETag"), "W/"), "fourth"); code != http.StatusPreconditionFailed {
		t.Errorf("PATCH with a weak tag: %d", code)
	}
}

func unpack(t *testing.T, packed []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestNginxStreams: an nginx that nobody told about event streams passes each
// event on when it happens, since the answer asks for it; and one that was told
// about WebSocket passes that on.
func TestNginxStreams(t *testing.T) {
	o := newOrigin(t)
	d := startNginx(t, o)

	ctx := t.Context()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://shop/events/items", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := d.client()
	client.Timeout = 60 * time.Second // of the whole stream
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %q", resp.StatusCode, resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	read := func(prefix string) string {
		t.Helper()
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), prefix); ok {
				return rest
			}
		}
		t.Fatalf("the stream ended before %q: %v", prefix, lines.Err())
		return ""
	}

	dialer := websocket.Dialer{NetDialContext: d.dial}
	socket, upgrade, err := dialer.DialContext(ctx, "ws://shop/ws", http.Header{"Origin": {"http://shop"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	_ = upgrade.Body.Close()
	_ = socket.SetReadDeadline(time.Now().Add(60 * time.Second))
	if err := socket.WriteJSON(map[string]string{"event": "items"}); err != nil {
		t.Fatal(err)
	}
	receive := func() (m message) {
		t.Helper()
		if err := socket.ReadJSON(&m); err != nil {
			t.Fatal(err)
		}
		return m
	}

	_, token := o.body()
	if m := receive(); m.Action != "sync" || m.Version != token {
		t.Fatalf("over WebSocket: %s at %s", m.Action, m.Version)
	}
	follow := func() (m message) {
		t.Helper()
		if err := json.Unmarshal([]byte(read("data: ")), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := follow(); m.Action != "sync" || m.Version != token {
		t.Fatalf("over SSE: %s at %s", m.Action, m.Version)
	}
	// One after the other: the next change comes when this one was received.
	for i := range 5 {
		name := fmt.Sprintf("change %d", i)
		o.rename(3, name)
		if m := follow(); m.Action != "update" || !m.has(3) || !bytes.Contains(m.Payload, []byte(name)) {
			t.Errorf("over SSE: %s %.200s", m.Action, m.Payload)
		}
		if m := receive(); m.Action != "update" || !bytes.Contains(m.Payload, []byte(name)) {
			t.Errorf("over WebSocket: %s %.200s", m.Action, m.Payload)
		}
	}
}
