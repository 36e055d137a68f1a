package main

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/sources/sourcetest/natstest"
)

// TestNodes: two nodes on one SQLite file tell each other of their writes over
// NATS, in both directions, and have the same tokens.
func TestNodes(t *testing.T) {
	server := natstest.Start(t)
	path := "sqlite:" + filepath.Join(t.TempDir(), "shop.db")
	with := settings{addr: "127.0.0.1:0", dsn: path, rows: 50, adminToken: adminToken, nats: server.URL()}
	a := openWith(t, with)
	b := openWith(t, with)
	for _, pair := range [][2]*running{{a, b}, {b, a}} {
		writer, reader := pair[0], pair[1]
		code, _, body := writer.do("PATCH", "api/products/1", http.Header{"Content-Type": {"application/json"}}, `{"name":"told by `+writer.url[len("http://"):]+`"}`)
		if code != http.StatusOK {
			t.Fatalf("PATCH: %d %s", code, body)
		}
		reader.eventually("the other node's write and the same token", func() bool {
			_, here, list := reader.do("GET", "api/products", nil)
			_, there, _ := writer.do("GET", "api/products", nil)
			return strings.Contains(string(list), "told by "+writer.url[len("http://"):]) && here.Get("ETag") == there.Get("ETag")
		})
		reader.eventually("a report by the relay", func() bool {
			var status struct {
				Sources []struct {
					Name     string
					Watching bool
					Reports  int
				}
			}
			_, _, body := reader.do("GET", "admin/api/status", http.Header{"Authorization": {"Bearer " + adminToken}})
			if err := json.Unmarshal(body, &status); err != nil {
				t.Fatal(err)
			}
			for _, s := range status.Sources {
				if s.Name == "natssource" {
					return s.Watching && s.Reports > 0
				}
			}
			return false
		})
	}
}

func TestNodesURL(t *testing.T) {
	for _, url := range []string{"nats://[bad", "foo://127.0.0.1:4222", "nats://127.0.0.1:4222,http://127.0.0.1:4222"} {
		if _, err := joinNodes(url); err == nil || !strings.Contains(err.Error(), "-nats") {
			t.Errorf("%s is no URL of a server: %v", url, err)
		}
	}
}

// TestNodesWithoutServer: while the NATS server is away the shop serves, and says that its
// rows may be old.
func TestNodesWithoutServer(t *testing.T) {
	r := openWith(t, settings{addr: "127.0.0.1:0", rows: 10, adminToken: adminToken, nats: "nats://127.0.0.1:1"})
	code, _, body := r.do("GET", "readyz", nil)
	if code != http.StatusOK || !strings.Contains(string(body), `"status":"stale"`) || !strings.Contains(string(body), "natssource") {
		t.Errorf("readyz: %d %s", code, body)
	}
}

// TestStoppedBeforeItServes: a signal while the shop starts ends it without an error.
func TestStoppedBeforeItServes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := run(ctx, settings{addr: "127.0.0.1:0", rows: 10, adminToken: adminToken, drain: atOnce, stopWithin: time.Minute}, func(string) {
		t.Error("it serves")
	})
	if err != nil {
		t.Errorf("it ended with: %v", err)
	}
}
