package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/examples/internal/demo"
	"github.com/uptrace/bun"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	demo.StopWithin = time.Minute
	goleak.VerifyTestMain(m)
}

// serve runs the program, in which orders go on when the test says so.
func serve(t *testing.T) (url string, db *bun.DB, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	type started struct {
		url string
		db  *bun.DB
	}
	ready, done := make(chan started, 1), make(chan error, 1)
	go func() { done <- run(ctx, "127.0.0.1:0", 0, func(url string, db *bun.DB) { ready <- started{url, db} }) }()
	select {
	case s := <-ready:
		return s.url, s.db, func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			http.DefaultClient.CloseIdleConnections()
		}
	case err := <-done:
		cancel()
		t.Fatal(err)
		return "", nil, nil
	}
}

func get(t *testing.T, url, user, tag string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		req.AddCookie(&http.Cookie{Name: "user", Value: user})
	}
	req.Header.Set("If-None-Match", tag)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestPageAndStream(t *testing.T) {
	url, db, stop := serve(t)
	defer func() { stop() }()
	res := get(t, url, "ann", "")
	html, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || !strings.Contains(string(html), "Green tea: <b>received</b>") || strings.Contains(string(html), "Cup") {
		t.Fatalf("the page: %v\n%s", err, html)
	}
	if got := res.Header.Get("Cache-Control"); !strings.HasPrefix(got, "private") {
		t.Errorf("Cache-Control: %s", got)
	}
	again := get(t, url, "ann", res.Header.Get("ETag"))
	again.Body.Close()
	if again.StatusCode != http.StatusNotModified {
		t.Errorf("the page again: %d", again.StatusCode)
	}
	nobody := get(t, url, "", "")
	nobody.Body.Close()
	if nobody.StatusCode != http.StatusUnauthorized {
		t.Errorf("nobody gets %d", nobody.StatusCode)
	}

	// The page leads to the stream, which begins where the page ends.
	connect := regexp.MustCompile(`sse-connect="([^"]+)"`).FindSubmatch(html)
	if connect == nil {
		t.Fatalf("no stream in\n%s", html)
	}
	stream := get(t, url+string(connect[1]), "ann", "")
	defer stream.Body.Close()
	events := bufio.NewReader(stream.Body)
	event := func() string {
		var b strings.Builder
		for {
			line, err := events.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "\n" {
				return b.String()
			}
			b.WriteString(line)
		}
	}
	for _, status := range []string{"packed", "sent"} {
		for _, id := range []int64{3, 1} { // bob's, then ann's
			if _, err := db.NewUpdate().Model((*Order)(nil)).Set("status = ?", status).Where("id = ?", id).Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := event(); !strings.Contains(got, "event: orders\ndata: <ul>\n") || !strings.Contains(got, "data: <li id=\"order-1\">Green tea: <b>"+status+"</b></li>\n") {
			t.Errorf("an event:\n%s", got)
		}
	}
	changed := get(t, url, "ann", res.Header.Get("ETag"))
	changed.Body.Close()
	if changed.StatusCode != http.StatusOK {
		t.Errorf("the page after a change: %d", changed.StatusCode)
	}
	stop() // ends the stream
	stop = func() {}
	if rest, err := io.ReadAll(events); err != nil || len(rest) > 0 {
		t.Errorf("after the end: %q, %v", rest, err)
	}
}
