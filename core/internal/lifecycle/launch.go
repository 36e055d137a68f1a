package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
)

// RollbackTimeout bounds how long it takes to stop again what has started in vain.
const RollbackTimeout = 5 * time.Second

// Launch starts a part and records it. doing describes that in errors. A panic of start is
// an error. If the stage has been closed meanwhile, nobody knows the part, so Launch stops
// it at once. It returns [live.ErrClosed], joined with the errors of stopping it.
func (s *Stage) Launch(ctx context.Context, phase Phase, doing string, p Part, start func() error) error {
	if s.IsClosed() {
		return live.ErrClosed
	}
	if _, err := untyped.Guard("starting", func() (struct{}, error) { return struct{}{}, start() }); err != nil {
		return fmt.Errorf("core: %s: %w", doing, err)
	}
	if s.Push(phase, p) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), RollbackTimeout)
	defer cancel()
	return errors.Join(append([]error{live.ErrClosed}, stopTogether(ctx, []Part{p})...)...)
}
