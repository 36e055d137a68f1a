package main

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRun runs the program as the README shows it.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var names []string
	err := run(ctx, "127.0.0.1:0", time.Hour, func(products *core.Binding[Product]) {
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

// TestProductsComeAndGo: whoever follows the list sees something without doing anything.
func TestProductsComeAndGo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var came, went atomic.Int64
	err := run(ctx, "127.0.0.1:0", time.Millisecond, func(products *core.Binding[Product]) {
		products.OnChange(func(d core.Delta[Product]) {
			if d.Reset {
				return
			}
			came.Add(int64(len(d.Created)))
			went.Add(int64(len(d.Deleted)))
			if came.Load() > 2 && went.Load() > 2 {
				cancel()
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if came.Load() <= 2 || went.Load() <= 2 {
		t.Errorf("%d came and %d went", came.Load(), went.Load())
	}
}
