package feed

import "context"

// maxWriters bounds the contexts kept for one batch.
const maxWriters = 16

// writers are the contexts of the writes that a batch covers, for plugins.
type writers struct {
	known []context.Context
	more  int // beyond maxWriters
}

func (w *writers) add(ctx context.Context) {
	if len(w.known) >= maxWriters {
		w.more++
		return
	}
	w.known = append(w.known, ctx)
}

// join returns the writers of a failed batch followed by later ones.
func (w *writers) join(later writers) writers {
	joined := writers{more: w.more + later.more}
	for _, ctx := range append(w.known[:len(w.known):len(w.known)], later.known...) {
		joined.add(ctx)
	}
	return joined
}
