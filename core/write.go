package core

import (
	"context"
	"fmt"

	"github.com/binderyhq/bindery/core/internal/writing"
	"github.com/binderyhq/bindery/core/live"
)

// write carries out a client's write, see [Binding.Write].
func (v *publisher) write(ctx context.Context, w live.Write, bounds writing.Bounds) (live.Row, error) {
	if !v.Spec.Rules.Writable {
		return live.Row{}, fmt.Errorf("core: binding %q: %w", v.Name(), live.ErrNotWritable)
	}
	f := v.feed.Load()
	if f == nil || v.Snapshot() == nil {
		return live.Row{}, fmt.Errorf("core: binding %q: %w", v.Name(), live.ErrNotLoaded)
	}
	row, key, err := writing.Write(ctx, v.Member, w, bounds, writing.Host{Logger: v.logger(), Now: v.now})
	if err != nil {
		return live.Row{}, err
	}
	f.Written(ctx, v.Member, key)
	return row, nil
}
