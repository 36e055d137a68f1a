package core

import (
	"context"
	"errors"

	"github.com/binderyhq/bindery/core/internal/authorizing"
	"github.com/binderyhq/bindery/core/internal/backlog"
)

// CheckHeld compares what the registry's bindings hold, margins included,
// with what their windows and pools say, and with all rows of their tables. It
// is called while nothing is reported, and after a Flush.
func CheckHeld(ctx context.Context, r *Registry) error {
	var errs []error
	for _, f := range r.eng.Feeds() {
		// A comparison that nobody waits for any more may still be publishing.
		if err := f.WaitForAll(ctx, nil); err != nil {
			return err
		}
		errs = append(errs, f.CheckHeld(ctx))
	}
	return errors.Join(errs...)
}

// VerifyDuringClear has one read be that of a Clear and of a Verify, and reports
// whether the latter takes it for an answer.
func VerifyDuringClear[T any](ctx context.Context, b *Binding[T]) (compared bool, err error) {
	a := &backlog.Verification{}
	err = b.own.reload(ctx, backlog.Reload{Forget: true, Audits: []*backlog.Verification{a}})
	return !a.Busy, err
}

// PreparedLoaders returns how many loaders the feeds remember to have prepared.
func PreparedLoaders(r *Registry) int {
	n := 0
	for _, f := range r.eng.Feeds() {
		n += f.PreparedLoaders()
	}
	return n
}

// MaxQuestions bounds the questions to an authorizer.
const MaxQuestions = authorizing.MaxQuestions
