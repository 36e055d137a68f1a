package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/examples/custom-source/csvfile"
)

func TestMain(m *testing.M) {
	stopWithin = time.Minute
	goleak.VerifyTestMain(m)
}

// TestRun serves a copy of the file, and sees an edit of it by REST and as
// server-sent events.
func TestRun(t *testing.T) {
	sample, err := os.ReadFile("stock.csv")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "stock.csv")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write(string(sample))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	urls, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- run(ctx, path, "127.0.0.1:0", 5*time.Millisecond, func(url string) { urls <- url }) }()
	var url string
	select {
	case url = <-urls:
	case err := <-ended:
		t.Fatalf("the program ended: %v", err)
	}
	client := &http.Client{Timeout: 60 * time.Second}
	defer client.CloseIdleConnections()

	if got := soldOut(t, client, url); got != "Maiden Voyage" {
		t.Errorf("sold out at first: %q", got)
	}
	events, err := client.Get(url + "/events/stock")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	lines := bufio.NewScanner(events.Body)
	until := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("the events ended before %q: %v", text, lines.Err())
	}
	until("Giant Steps")
	write(strings.Replace(string(sample), "Blue Train,1099,3", "Blue Train,1099,0", 1))
	until("Blue Train")
	// Bindings move one after the other: this one may be about to.
	for deadline := time.Now().Add(60 * time.Second); soldOut(t, client, url) != "Blue Train, Maiden Voyage"; {
		if time.Now().After(deadline) {
			t.Fatalf("sold out in the end: %q", soldOut(t, client, url))
		}
	}
	stop()
	if _, err := io.Copy(io.Discard, events.Body); err != nil {
		t.Errorf("the events ended with %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}

func soldOut(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	resp, err := client.Get(url + "/api/sold-out")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v: %s", resp.StatusCode, err, body)
	}
	var items []csvfile.Item
	if err := json.Unmarshal(body, &items); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	var names []string
	for _, i := range items {
		names = append(names, i.Name)
	}
	return strings.Join(names, ", ")
}
