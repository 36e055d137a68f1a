package wiretest

import (
	"fmt"
	"runtime"
	"time"
)

// Patiently runs a test of clients that a timeout must spare. A slow machine can
// keep any client from being in time, so an attempt that fails is made again with
// four times the timeout; what fails with a minute, fails. The attempt reports to
// the TB that it is given, and undoes with defer what it did.
func Patiently(t TB, timeout time.Duration, attempt func(t TB, timeout time.Duration)) {
	t.Helper()
	for ; ; timeout = min(4*timeout, time.Minute) {
		tr := &trial{}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			attempt(tr, timeout)
			tr.finished = true
		}()
		<-ended
		switch {
		case tr.finished && len(tr.faults) == 0:
			return
		case timeout < time.Minute && len(tr.faults) > 0:
			continue
		}
		for _, f := range tr.faults {
			t.Errorf("%s", f)
		}
		if !tr.finished {
			t.Fatalf("the attempt with a timeout of %v was given up", timeout)
		}
		return
	}
}

// trial keeps the faults of one attempt. The attempt's goroutine uses it alone.
type trial struct {
	faults   []string
	finished bool // not by Fatalf
}

func (*trial) Helper() {}

func (t *trial) Errorf(format string, args ...any) {
	t.faults = append(t.faults, fmt.Sprintf(format, args...))
}

func (t *trial) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}
