package main

import (
	"context"
	"os"
	"strings"
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

// TestReadmeShowsThis holds the README's program to this one, which runs.
func TestReadmeShowsThis(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(readme), "```go\n")
	block, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("the README shows no Go program")
	}
	have := map[string]bool{}
	for line := range strings.Lines(string(source)) {
		have[strings.TrimSpace(line)] = true
	}
	for line := range strings.Lines(block) {
		if l := strings.TrimSpace(line); l != "" && !have[l] {
			t.Errorf("the README's program has a line that examples/quickstart has not: %s", l)
		}
	}
}
