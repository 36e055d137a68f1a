package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestMetrics scrapes the shop.
func TestMetrics(t *testing.T) {
	r := open(t, "", 10)
	resp, err := http.Get(strings.TrimSuffix(r.url, "/") + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", resp.Status, err)
	}
	for _, name := range []string{
		`bindery_binding_rows{binding="everything"} 10`, `bindery_binding_version_changes_total{binding="products"}`,
		"bindery_source_watching{", "bindery_source_found_total{", "bindery_memory_bytes{", `bindery_feed_read_seconds_bucket{table="products",le="`,
		`bindery_publish_delay_seconds_count{table="products"}`,
		`bindery_subscribers{transport="rest"}`, `bindery_subscribers{transport="sse"}`, `bindery_subscribers{transport="websocket"}`, `bindery_subscribers{transport="socketio"}`,
		`bindery_delivery_delay_seconds_count{transport="websocket"}`,
	} {
		if !strings.Contains(string(body), name) {
			t.Errorf("there is no %s", name)
		}
	}
}
