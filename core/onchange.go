package core

import (
	"log/slog"

	"github.com/binderyhq/bindery/core/internal/onchange"
	"github.com/binderyhq/bindery/core/live"
)

// Delta is a change of a binding, for [Binding.OnChange].
type Delta[T any] struct {
	// Version is the version that the change led to.
	Version live.Version
	// Created and Updated hold the rows as they are now, Deleted as they last were.
	Created, Updated, Deleted []T
	// Reset says that Created holds all rows and replaces everything known before. The
	// first Delta has it set, and so has one after the function lagged too far behind.
	Reset bool
}

// OnChange calls fn with all rows once the binding has loaded, and then with every change,
// in order, until stop is called or the binding ends. It makes one call at a time, on a
// goroutine of its own. A slow function gets merged changes and delays nobody else. A panic
// of fn is logged and ends the calls.
//
// No call begins after stop has returned. stop does not wait for a call under way, so fn
// may call it. [Registry.Shutdown] waits for calls under way, including those for bindings
// removed before.
func (b *Binding[T]) OnChange(fn func(Delta[T])) (stop func()) {
	panicked := func(value any, stack []byte) {
		b.own.logger().Error("core: OnChange function panicked; it is not called again", slog.String("id", "core-onchange-panic"),
			slog.String("binding", b.Name()), slog.Any("panic", value), slog.String("stack", string(stack)))
	}
	return onchange.Call(&b.own.family.watchers, b.View, deltaOf[T], fn, panicked)
}

func deltaOf[T any](e *live.Event) Delta[T] {
	d := Delta[T]{Version: e.Version}
	switch e.Kind {
	case live.Synced:
		d.Reset = true
		d.Created = make([]T, 0, e.Snapshot.Len())
		for r := range e.Snapshot.Rows() {
			d.Created = append(d.Created, *r.Value().(*T))
		}
	case live.Changed:
		d.Created, d.Updated, d.Deleted = rowsOf[T](e.Created), rowsOf[T](e.Updated), rowsOf[T](e.Deleted)
	}
	return d
}

func rowsOf[T any](rows []live.Row) []T {
	if len(rows) == 0 {
		return nil
	}
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = *r.Value().(*T)
	}
	return out
}
