package sourcetest

import (
	"fmt"
	"runtime"
	"strings"
	"time"
)

// stacks returns the stacks of all goroutines.
func stacks() string {
	for size := 64 << 10; ; size *= 2 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size {
			return string(buf[:n])
		}
	}
}

// goroutines returns which goroutines there are, by their headers up to the
// state: "goroutine 7".
func goroutines() map[string]bool {
	out := map[string]bool{}
	for g := range strings.SplitSeq(stacks(), "\n\n") {
		out[goroutineID(g)] = true
	}
	return out
}

func goroutineID(stack string) string {
	id, _, _ := strings.Cut(stack, " [")
	return id
}

// leaked waits until no goroutines are left but those before, and the caller's
// own, and returns the stacks of those that stay.
func leaked(before map[string]bool, within time.Duration) error {
	deadline := time.Now().Add(within)
	for pause := time.Millisecond; ; pause *= 2 {
		var left []string
		for i, g := range strings.Split(stacks(), "\n\n") {
			switch {
			case i == 0, before[goroutineID(g)]: // the first is this one
			case strings.Contains(g, "runtime.runFinalizers"), strings.Contains(g, "runtime.runCleanups"):
			default:
				left = append(left, g)
			}
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
		}
		time.Sleep(pause)
	}
}
