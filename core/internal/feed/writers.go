package feed

import "context"

// maxWriters bounds the writers of one batch that are remembered.
const maxWriters = 16

// writers are the contexts of those who wrote what a batch covers, for plugins.
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

// join puts those of a batch that has failed before those who came since.
func (w *writers) join(later writers) writers {
	joined := writers{more: w.more + later.more}
	for _, ctx := range append(w.known[:len(w.known):len(w.known)], later.known...) {
		joined.add(ctx)
	}
	return joined
}
