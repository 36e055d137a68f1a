package jetsource

import (
	"context"
	"sync"

	"github.com/binderyhq/bindery/core/live"
)

// positions are the views' positions in the stream, from which Replicate continues when
// it is called again.
type positions struct {
	mu    sync.Mutex
	all   map[*live.View]position // guarded by mu
	moved chan struct{}           // guarded by mu; closed when one moves, then replaced; nil: nobody waits
}

// position is what a view shows: the stream up to seq, as the publisher with the lineage
// has published it.
type position struct {
	seq     uint64
	lineage string
}

func (p *positions) of(v *live.View) position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[v]
}

// set notes the view's position, and drops views that have ended.
func (p *positions) set(v *live.View, at position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = make(map[*live.View]position)
	}
	before, known := p.all[v]
	if !known {
		for other := range p.all {
			if other.Err() != nil {
				delete(p.all, other)
			}
		}
	}
	p.all[v] = at
	if p.moved != nil && before != at {
		close(p.moved)
		p.moved = nil
	}
}

// await waits until the view's position is at least this one, and returns the present one.
// With another lineage than the view's it returns at once.
func (p *positions) await(ctx context.Context, v *live.View, want position) (position, error) {
	for {
		p.mu.Lock()
		at := p.all[v]
		if p.moved == nil {
			p.moved = make(chan struct{})
		}
		moved := p.moved
		p.mu.Unlock()
		if at.seq >= want.seq || at.lineage != "" && at.lineage != want.lineage {
			return at, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return at, ctx.Err()
		}
	}
}
