package signal_test

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/binderyhq/bindery/core/internal/signal"
)

// TestNotice holds that whoever asked before a Tell is told by it, and nobody else.
func TestNotice(t *testing.T) {
	var n signal.Notice
	n.Tell() // nobody waits
	first, again := n.Next(), n.Next()
	n.Tell()
	for _, ch := range []<-chan struct{}{first, again} {
		select {
		case <-ch:
		default:
			t.Error("who waited was not told")
		}
	}
	select {
	case <-n.Next():
		t.Error("told of what was before")
	default:
	}
}

// TestGroup holds that Close lets no goroutine in, and that its channel is closed when
// the last one has left, however many come and go meanwhile.
func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g signal.Group
		if g.Running() {
			t.Error("an empty group runs")
		}
		var entered sync.WaitGroup
		release := make(chan struct{})
		for range 10 {
			entered.Add(1)
			go func() {
				if !g.Enter() {
					t.Error("an open group refused somebody")
				}
				entered.Done()
				<-release
				g.Leave()
			}()
		}
		entered.Wait()
		idle := g.Close()
		if g.Enter() {
			t.Error("a closed group let somebody in")
		}
		synctest.Wait()
		select {
		case <-idle:
			t.Error("idle while ten run")
		default:
		}
		close(release)
		<-idle
		if g.Running() {
			t.Error("somebody runs after the last has left")
		}
	})
}

func TestGroupClosedWhenIdle(t *testing.T) {
	var g signal.Group
	if g.Enter() {
		g.Leave()
	}
	if g.Close() != nil {
		t.Error("nobody runs, and there is something to wait for")
	}
}
