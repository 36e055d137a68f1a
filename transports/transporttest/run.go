package transporttest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"
)

// CaseTimeout bounds each case. It is a watchdog, far longer than any case needs.
const CaseTimeout = 60 * time.Second

// Run checks the transport, with a subtest for each rule.
func Run(t *testing.T, newHarness Maker) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if err := c.check(newHarness, CaseTimeout); err != nil {
				t.Errorf("the rule: %s\n%v", c.rule, err)
			}
		})
	}
}

// Check checks the transport and returns all failures. Each begins with the name of its
// case.
func Check(newHarness Maker) error { return checkWithin(newHarness, CaseTimeout) }

func checkWithin(newHarness Maker, timeout time.Duration) error {
	var errs []error
	for _, c := range cases {
		if err := c.check(newHarness, timeout); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w (the rule: %s)", c.name, err, c.rule))
		}
	}
	return errors.Join(errs...)
}

// A rule is one case of the suite.
type rule struct {
	name  string
	rule  string // what it guards, and why
	setup setup
	run   func(context.Context, *rig) error
	guard func(*setup) func(context.Context, *rig) error // instead of run: adds an authorizer, and returns a run that uses it

	// Instead of run: compares two rigs. The second one has other rows.
	compare func(ctx context.Context, one, other *rig) error
	other   func([]item) []item
}

// cases are all rules, the plain ones first.
var cases = func() (all []rule) {
	for _, group := range [][]rule{stateCases, resumeCases, pageCases, markCases, clientCases, bindingCases, troubleCases, familyCases(), accessCases(), worldCases, shutdownCases} {
		all = append(all, group...)
	}
	return all
}()

// check runs the case. If the case hangs in spite of its context, check abandons it,
// and its error lists the goroutines.
func (c rule) check(newHarness Maker, timeout time.Duration) error {
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeoutCause(context.Background(), timeout, fmt.Errorf("the case took longer than %v", timeout))
		defer cancel()
		done <- c.inRig(ctx, newHarness)
	}()
	watchdog := time.NewTimer(2 * timeout)
	defer watchdog.Stop()
	select {
	case err := <-done:
		return err
	case <-watchdog.C:
		stacks := make([]byte, 1<<20)
		return fmt.Errorf("hangs:\n%s", stacks[:runtime.Stack(stacks, true)])
	}
}

func (c rule) inRig(ctx context.Context, newHarness Maker) (err error) {
	h, err := newHarness()
	if err != nil {
		return fmt.Errorf("making the harness: %w", err)
	}
	if _, asks := h.(Asker); asks != h.Abilities().Families {
		return errors.Join(fmt.Errorf("Abilities.Families is %t; that the harness is an Asker: %t", !asks, asks), h.Close())
	} else if c.setup.families && !asks {
		return h.Close()
	}
	if c.guard != nil {
		c.run = c.guard(&c.setup)
	}
	r, err := newRig(ctx, h, c.setup)
	if err != nil {
		return errors.Join(err, h.Close())
	}
	if c.compare == nil {
		err = c.run(ctx, r)
	} else {
		err = c.compareIn(ctx, newHarness, r)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = fmt.Errorf("%w; %w", err, cause)
	}
	return errors.Join(err, r.end())
}

// compareIn makes the second rig, and compares the two.
func (c rule) compareIn(ctx context.Context, newHarness Maker, one *rig) error {
	h, err := newHarness()
	if err != nil {
		return fmt.Errorf("making another harness: %w", err)
	}
	s := c.setup
	s.seed = c.other
	other, err := newRig(ctx, h, s)
	if err != nil {
		return errors.Join(err, h.Close())
	}
	return errors.Join(c.compare(ctx, one, other), other.end())
}
