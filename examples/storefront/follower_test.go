//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/client"
)

// followed is a process that serves the shop, as its clients see it.
type followed struct {
	*process
	running
}

func startFollowed(t *testing.T, binary string, args ...string) *followed {
	t.Helper()
	p := startProgram(t, binary, append(args, "-admin-token", adminToken)...)
	f := &followed{p, running{t: t, url: "http://" + p.addr + "/"}}
	f.eventually("ready", func() bool { code, _, _ := f.do("GET", "readyz", nil); return code == http.StatusOK })
	return f
}

// kill ends the process without a word.
func (f *followed) kill() {
	_ = f.cmd.Process.Kill()
	<-f.ended
}

func (f *followed) readiness() string {
	_, _, body := f.do("GET", "readyz", nil)
	var out struct{ Status string }
	_ = json.Unmarshal(body, &out)
	return out.Status
}

// sameAs waits until the node answers what the other one does: the same bytes, with
// the same tags.
func (f *followed) sameAs(o *followed) {
	f.running.t.Helper()
	for _, path := range []string{
		"api/products", "api/everything", "api/cheapest", "api/venues", "api/shelf?venue=store", "api/products?limit=7&offset=3",
		"api/products/2", "api/shelf/2?venue=store", "api/venues/store",
	} {
		f.eventually(path+" as the origin has it", func() bool {
			status, want, body := o.do("GET", path, http.Header{"Accept-Encoding": {"identity"}})
			code, header, got := f.do("GET", path, http.Header{"Accept-Encoding": {"identity"}})
			return code == status && string(got) == string(body) && header.Get("Etag") == want.Get("Etag")
		})
	}
}

// TestFollowers: an origin, a follower and a follower of that are processes. All have
// the same rows and tokens, over each transport; the origin is killed and comes back;
// clients hop between them with their tokens.
func TestFollowers(t *testing.T) {
	binary := buildProgram(t)
	db := "sqlite:" + filepath.Join(t.TempDir(), "shop.db")
	origin := startFollowed(t, binary, "-db", db, "-rows", "60")
	at := origin.addr
	middle := startFollowed(t, binary, "-follow", origin.url)
	last := startFollowed(t, binary, "-follow", strings.TrimSuffix(middle.url, "/"))
	nodes := []*followed{origin, middle, last}
	last.sameAs(origin)

	patch := func(price string) {
		t.Helper()
		code, _, body := origin.do("PATCH", "api/products/2", http.Header{"Content-Type": {"application/json"}}, `{"price":`+price+`}`)
		if code != http.StatusOK {
			t.Fatalf("PATCH: %d %s", code, body)
		}
	}
	follow := []func(string, int) message{last.socket("products"), last.stream("events/products")}
	for _, await := range follow {
		await("sync", 2) // else the sync may have the change already
	}
	patch("1.25")
	for _, await := range follow {
		if m := await("update", 2); !strings.Contains(string(m.Payload), "1.25") {
			t.Errorf("told of %s", m.Payload)
		}
	}
	middle.sameAs(origin)
	last.sameAs(origin)

	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		path := "api/products"
		if method != "POST" {
			path += "/2"
		}
		code, header, _ := last.do(method, path, http.Header{"Content-Type": {"application/json"}}, `{}`)
		if code != http.StatusMethodNotAllowed || header.Get("Allow") == "" {
			t.Errorf("%s: %d, Allow %q", method, code, header.Get("Allow"))
		}
	}
	for path, want := range map[string]string{
		"metrics": `bindery_binding_rows{binding="products"} 54`, "metrics?": `bindery_origin_mismatches_total{origin="http://`, "admin/api/status": `"mismatches":0`, "admin/api/bindings/products/explain?key=2": `"in":true`, "": "<html", "healthz": "ok",
		"socket.io/?EIO=4&transport=polling": `"sid"`,
	} {
		code, _, body := last.do("GET", path, http.Header{"Authorization": {"Bearer " + adminToken}})
		if code != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d, no %s in %.2000s", path, code, want, body)
		}
	}
	if code, _, body := last.do("POST", "admin/api/bindings/*/verify", http.Header{"Authorization": {"Bearer " + adminToken}}); code != http.StatusOK {
		t.Errorf("verify: %d %s", code, body)
	}

	// A client goes from node to node with its token.
	token := strings.Repeat("0", 22) // of no version
	for i := range 6 {
		patch(fmt.Sprint(3 + i))
		_, header, _ := origin.do("GET", "api/products", nil)
		want := tokenOf(header)
		for _, n := range nodes {
			n.eventually("the newest version", func() bool { _, h, _ := n.do("GET", "api/products", nil); return tokenOf(h) == want })
		}
		n := nodes[i%len(nodes)]
		_, _, body := n.do("GET", "api/products?since="+token, nil)
		var list []struct {
			Action  string
			Version string
		}
		if err := json.Unmarshal(body, &list); err != nil || len(list) == 0 || list[len(list)-1].Version != want {
			t.Fatalf("node %d, since %q: %s", i%3, token, body)
		}
		if i > 0 && list[0].Action != "update" {
			t.Errorf("node %d, since what another one had: %s", i%3, body)
		}
		token = want
	}

	// The origin is killed: rows stay and are called old; when it is back nothing is
	// sent again.
	products, err := client.Open[Product](last.url+"events", "products")
	if err != nil {
		t.Fatal(err)
	}
	defer products.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if _, err := products.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	before := products.Counts()
	origin.kill()
	for _, n := range nodes[1:] {
		n.eventually("stale", func() bool { return n.readiness() == "stale" })
		if _, _, body := n.do("GET", "readyz", nil); !strings.Contains(string(body), `"products":"the node that it follows cannot be reached`) {
			t.Errorf("readyz says %s", body)
		}
		if code, header, _ := n.do("GET", "api/products", nil); code != http.StatusOK || tokenOf(header) != token {
			t.Errorf("while the origin is away: %d %s", code, tokenOf(header))
		}
	}
	origin = startFollowed(t, binary, "-db", db, "-addr", at)
	for _, n := range nodes[1:] {
		n.eventually("ready", func() bool { return n.readiness() == "ready" })
	}
	if now := products.Counts(); now.Bytes != before.Bytes {
		t.Errorf("%d bytes were sent again", now.Bytes-before.Bytes)
	}
	patch("99.5")
	last.sameAs(origin)
	for s := range products.States(ctx) {
		if slices.ContainsFunc(slices.Collect(s.All()), func(p Product) bool { return p.ID == 2 && p.Price == 99.5 }) {
			break
		}
	}

	// The one in the middle is killed: the last goes on when it is back.
	middleAt := middle.addr
	middle.kill()
	patch("12.75")
	middle = startFollowed(t, binary, "-follow", origin.url, "-addr", middleAt)
	last.sameAs(origin)

	// All end in time, with open streams.
	for _, p := range []*followed{last, middle, origin} {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-p.ended:
			if err != nil {
				t.Errorf("it ended with %v:\n%s", err, p.output.Bytes())
			}
		case <-time.After(60 * time.Second):
			t.Fatal("it does not end")
		}
	}
}

func tokenOf(h http.Header) string {
	return strings.TrimSuffix(strings.Trim(h.Get("Etag"), `"`), "-gzip")
}

// TestFollowerWithoutOrigin: it opens, and is ready when the origin comes.
func TestFollowerWithoutOrigin(t *testing.T) {
	origin := open(t, "", 10)
	url := origin.url
	addr := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
	origin.stop()
	ctx, cancel := context.WithCancel(context.Background())
	opened, done := make(chan string, 1), make(chan error, 1)
	go func() {
		done <- run(ctx, settings{addr: "127.0.0.1:0", follow: url, adminToken: adminToken, drain: atOnce, stopWithin: time.Minute}, func(u string) { opened <- u })
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	f := &running{t: t, url: <-opened}
	for path, want := range map[string]int{"readyz": 503, "healthz": 200, "api/products": 503, "api/none": 404} {
		if code, _, body := f.do("GET", path, nil); code != want {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	again := openAt(t, addr, "", 10)
	f.eventually("ready", func() bool { code, _, _ := f.do("GET", "readyz", nil); return code == http.StatusOK })
	_, want, _ := again.do("GET", "api/products", nil)
	if _, got, _ := f.do("GET", "api/products", nil); got.Get("Etag") != want.Get("Etag") {
		t.Errorf("%s, the origin has %s", got.Get("Etag"), want.Get("Etag"))
	}
}

func TestFollowFlag(t *testing.T) {
	for want, s := range map[string]settings{
		"-db":              {follow: "http://x", dsn: "sqlite:x"},
		"-nats":            {follow: "http://x", nats: "nats://x"},
		"-warm":            {follow: "http://x", warm: "x"},
		"want http://HOST": {follow: "x:1"},
		"missing protocol": {follow: ":"},
	} {
		if err := run(t.Context(), s, func(string) {}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
