package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	stopWithin = time.Minute
	goleak.VerifyTestMain(m)
}

// TestRun starts the program, follows its stream, comes back to it, and sees it
// end.
func TestRun(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	urls, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- run(ctx, "127.0.0.1:0", 5*time.Millisecond, func(url string) { urls <- url })
	}()
	var url string
	select {
	case url = <-urls:
	case err := <-ended:
		t.Fatalf("the program ended: %v", err)
	}
	client := &http.Client{Timeout: 60 * time.Second}
	defer client.CloseIdleConnections()

	rows := map[int64]int64{}
	version, syncs := "", 0
	follow := func(batches int) *json.Decoder {
		resp, err := client.Get(url + "/stream/products?version=" + version)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		dec := json.NewDecoder(resp.Body)
		for batches > 0 {
			var l struct {
				Op, Version string
				Row         Product
			}
			if err := dec.Decode(&l); err != nil {
				t.Fatal(err)
			}
			switch l.Op {
			case "sync":
				syncs++
			case "put":
				rows[l.Row.ID] = l.Row.Cents
			case "version":
				version = l.Version
				batches--
			}
		}
		return dec
	}
	follow(3)
	if len(rows) != 3 || version == "" {
		t.Fatalf("products %v, version %q", rows, version)
	}
	open := follow(2)
	if syncs != 1 {
		t.Errorf("%d syncs for a stream that was resumed", syncs)
	}
	stop()
	for {
		if err := open.Decode(new(any)); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the stream ended with %v", err)
		}
	}
	if err := <-ended; err != nil {
		t.Fatalf("run: %v", err)
	}
}
