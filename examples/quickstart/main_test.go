package main

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRun runs the program as the README shows it.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var names []string
	err := run(ctx, "127.0.0.1:0", func(products *core.Binding[Product]) {
		for p := range products.All() {
			names = append(names, p.Name)
		}
		cancel()
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 1 || names[0] != "Kind of Blue" {
		t.Errorf("products: %q", names)
	}
}
