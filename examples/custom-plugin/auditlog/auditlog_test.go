package auditlog

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stuck is a writer that waits.
type stuck struct{ release chan struct{} }

func (s stuck) Write(b []byte) (int, error) {
	<-s.release
	return len(b), nil
}

// TestSlowWriter: who observes does not wait for the log; what does not fit is
// counted, and told at the end.
func TestSlowWriter(t *testing.T) {
	out := stuck{make(chan struct{})}
	l := New(out)
	reg := core.NewRegistry()
	_ = reg.Use(l)
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range maxQueued + 10 {
		l.Reported(&coretest.Source{}, []driver.Change{{Table: driver.Table{Name: "t"}, Writer: WithUser(t.Context(), "ann")}, {Compare: true}})
	}
	close(out.release)
	if err := reg.Shutdown(t.Context()); err == nil || !strings.Contains(err.Error(), "entries were lost") {
		t.Errorf("Shutdown: %v", err)
	}
	missing := core.NewRegistry()
	_ = missing.Use(New(nil))
	if err := missing.Start(t.Context()); err == nil {
		t.Error("a log without anything to write to has started")
	}
}
