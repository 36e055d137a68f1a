package core_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/value"
)

// rash is a loader whose Value panics when it is told to.
type rash struct {
	*coretest.Table[item]
	panics atomic.Bool
}

func (r *rash) Value(row *item, column int) value.Value {
	if r.panics.Load() {
		panic("rash")
	}
	return r.Table.Value(row, column)
}

// TestPanicOfALoader: what the application's loader does wrong makes bindings
// stale, and does not end the process.
func TestPanicOfALoader(t *testing.T) {
	r := newItems(t, core.Config{})
	loader := &rash{Table: r.table}
	b := core.Bind("items", loader, core.Where(filter.Gt("price", 1)))
	r.start(t, b)
	defer r.stop(t)
	r.report(t, r.table.Put(item{ID: 1, Price: 2}))
	loader.panics.Store(true)
	r.report(t, r.table.Put(item{ID: 2, Price: 2}))
	if b.Status().State != status.Stale {
		t.Errorf("the binding is %v", b.Status().State)
	}
	if err := b.Status().Err; err == nil || !strings.Contains(err.Error(), "rash") {
		t.Errorf("why: %v", err)
	}
	if b.Len() != 1 {
		t.Errorf("%d rows, want the one from before", b.Len())
	}
	loader.panics.Store(false)
	wait(t, "the binding to recover", func() bool { return b.Status().State == status.Live })
	if b.Len() != 2 {
		t.Errorf("%d rows", b.Len())
	}
}
