package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

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
	if _, err := joinNodes("nats://[bad"); err == nil || !strings.Contains(err.Error(), "-nats") {
		t.Errorf("a URL that is none: %v", err)
	}
}
