package driver

import (
	"context"
	"errors"
)

// Looker is implemented by sources that find commits by asking, and so can be told to ask
// now: sources that poll, and sources that follow a log.
//
// Without it the engine knows only what the source has reported. That suits sources that
// report each commit before its writer goes on.
type Looker interface {
	// Look returns nil when every commit before the call that the source can find has been
	// reported, or precedes a call of [Sink.Watching] that has been made. The engine calls
	// it while somebody waits for a mark (core.Registry.Reach), concurrently, and at any
	// time, even before and after Watch. The context bounds it. After an error the engine
	// retries a little later, as long as anybody waits. An error that wraps
	// errors.ErrUnsupported means that the source, as configured, has nothing to ask: the
	// engine treats it as if it were not a Looker.
	Look(ctx context.Context) error
}

// Marker is implemented by sources that can name a point in the history of commits in a
// form that other nodes, with a source of the same kind, understand.
type Marker interface {
	// MarkKind names the format of the source's part of a mark: a short word, the same on
	// all nodes, that never changes.
	MarkKind() string

	// Mark returns the source's part of a mark. The part covers everything committed before
	// the call or, if the source relays reports of others, everything that they have
	// reported. All parts of a mark together have room for about 170 bytes. The engine
	// calls Mark concurrently, and the answer to a write waits for it, so it should ask one
	// cheap question; the context bounds it. After an error, or nil, the mark lacks this
	// part, and other nodes may not understand it.
	Mark(ctx context.Context) ([]byte, error)

	// Reach returns nil when everything that the part covers has been reported, or precedes
	// a call of [Sink.Watching] that has been made. It returns [ErrForeign] when it can
	// never tell: the part is of another database, or did not come from Mark. It must never
	// return nil for such a part. Otherwise it behaves as [Looker].Look does.
	Reach(ctx context.Context, part []byte) error
}

// ErrForeign means that this node cannot interpret a part of a mark; see [Marker].
var ErrForeign = errors.New("driver: the mark was made elsewhere, and nobody can tell here whether it has been reached")
