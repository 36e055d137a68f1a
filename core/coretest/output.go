package coretest

import (
	"bytes"
	"slices"
	"strings"
	"sync"
)

// Output is text that a logger or another program writes while a test reads it. The zero
// value is empty and ready to use. Any goroutine may call its methods.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

// Write implements io.Writer. It never fails.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String returns everything written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Lines returns the lines written so far that contain the text.
func (o *Output) Lines(containing string) []string {
	return slices.Collect(func(yield func(string) bool) {
		for line := range strings.Lines(o.String()) {
			if strings.Contains(line, containing) && !yield(line) {
				return
			}
		}
	})
}
