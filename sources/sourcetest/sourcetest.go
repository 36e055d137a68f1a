package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"
)

// Run runs each case of the suite as a subtest. Cases that the harness has no
// means for are skipped, and say why.
func Run(t *testing.T, newHarness NewHarness) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := c.check(newHarness)
			var skip skipError
			switch {
			case errors.As(err, &skip):
				t.Skip(skip.why)
			case err != nil:
				t.Fatal(err)
			}
		})
	}
}

// Check runs all cases and returns everything that is wrong, joined, or nil.
func Check(newHarness NewHarness) error { return check(newHarness) }

// check runs the named cases, or all of them.
func check(newHarness NewHarness, names ...string) error {
	var errs []error
	for _, c := range cases {
		if len(names) > 0 && !slices.Contains(names, c.name) {
			continue
		}
		err := c.check(newHarness)
		var skip skipError
		if err != nil && !errors.As(err, &skip) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// testCase is one case. rule says what it guards, in words for whoever reads
// the failure.
type testCase struct {
	name, rule string
	run        func(ctx context.Context, p *probe) error
}

// skipError says why a case does not apply.
type skipError struct{ why string }

func (e skipError) Error() string { return e.why }

// watchdogFactor is how many times the harness's Within a case may take
// altogether: many more than its waits, each of which ends by itself.
const watchdogFactor = 20

func (c *testCase) check(newHarness NewHarness) error {
	before := goroutines()
	h, err := newHarness()
	if err != nil {
		return fmt.Errorf("sourcetest: making a harness for case %q: %w", c.name, err)
	}
	within := h.Abilities().within()
	ctx, cancel := context.WithTimeout(context.Background(), watchdogFactor*within)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- c.play(ctx, h, within, before) }()
	select {
	case err = <-ended:
	case <-time.After((watchdogFactor + 2) * within):
		err = fmt.Errorf("it hangs; all goroutines:\n%s", stacks())
	}
	var skip skipError
	if err == nil || errors.As(err, &skip) {
		return err
	}
	return fmt.Errorf("sourcetest: case %q: %w\n\trule: %s", c.name, err, c.rule)
}

// play runs the case and cleans up after it.
func (c *testCase) play(ctx context.Context, h Harness, within time.Duration, before map[string]bool) (err error) {
	p := newProbe(h, within)
	func() {
		defer func() {
			if r := recover(); r != nil {
				buf := make([]byte, 64<<10)
				err = fmt.Errorf("panic: %v\n%s", r, buf[:runtime.Stack(buf, false)])
			}
		}()
		err = c.run(ctx, p)
	}()
	stopErr := p.stopAll()
	var skip skipError
	if stopErr != nil && errors.As(err, &skip) {
		err = nil
	}
	err = errors.Join(err, stopErr, p.sink.violations())
	if closeErr := h.Close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("closing the harness: %w", closeErr))
	}
	if stopErr == nil && (err == nil || errors.As(err, &skip)) {
		if leak := leaked(before, within); leak != nil {
			return leak
		}
	}
	return err
}
