package main

import (
	"bufio"
	"context"
	"database/sql"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// watchdog bounds a test that waits for the program.
const watchdog = 30 * time.Second

// start runs the program on the embedded database until the test ends.
func start(t *testing.T) (url, path string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	type place struct{ url, path string }
	serving := make(chan place, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, "127.0.0.1:0", "", func(url, path string) { serving <- place{url, path} })
	}()
	select {
	case p := <-serving:
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Errorf("the program ended with %v", err)
			}
		})
		return p.url, p.path
	case err := <-ended:
		stop()
		t.Fatalf("the program did not start: %v", err)
	}
	panic("unreachable")
}

// request returns the answer, whose body is closed when the test ends.
func request(t *testing.T, url string, header ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), watchdog)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{}}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		resp.Body.Close()
		client.CloseIdleConnections()
	})
	return resp
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestServes(t *testing.T) {
	url, _ := start(t)
	if got := body(t, request(t, url)); !strings.Contains(got, "playlist_tracks    8715 rows") {
		t.Errorf("the list of bindings is\n%s", got)
	}
	first := request(t, url+"api/invoices")
	if !strings.HasPrefix(body(t, first), `[{"InvoiceId":`) || first.StatusCode != http.StatusOK {
		t.Errorf("GET /api/invoices: %s", first.Status)
	}
	if again := request(t, url+"api/invoices", "If-None-Match", first.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("GET /api/invoices with its ETag: got %s, want 304", again.Status)
	}
	row := request(t, url+"api/playlist_tracks/1,3402")
	if got := strings.TrimSpace(body(t, row)); got != `{"PlaylistId":1,"TrackId":3402}` {
		t.Errorf("GET /api/playlist_tracks/1,3402: got %s %s", row.Status, got)
	}
}

// What another program writes into the file shows on a stream that is open.
func TestWritesOfOthersShow(t *testing.T) {
	url, path := start(t)
	stream := bufio.NewScanner(request(t, url+"events/artists").Body)
	stream.Buffer(nil, 1<<20)
	// data returns the next line of data that contains the text.
	data := func(text string) string {
		t.Helper()
		for stream.Scan() {
			if line := stream.Text(); strings.HasPrefix(line, "data:") && strings.Contains(line, text) {
				return line
			}
		}
		t.Fatalf("the stream ended before %q: %v", text, stream.Err())
		return ""
	}
	data(`"AC/DC"`)

	other, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Exec(`UPDATE Artist SET Name = NULL WHERE ArtistId = 1`); err != nil {
		t.Fatal(err)
	}
	if got := data(`"update"`); !strings.Contains(got, `{"ArtistId":1,"Name":null}`) {
		t.Errorf("the stream says %s", got)
	}
}

func TestAddressInUse(t *testing.T) {
	url, _ := start(t)
	addr := strings.Trim(strings.TrimPrefix(url, "http://"), "/")
	err := run(context.Background(), addr, "", func(string, string) { t.Error("it serves") })
	if err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("got error %v, want one that names %s", err, addr)
	}
}
