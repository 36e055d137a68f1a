package driver

import (
	"context"
	"errors"
)

// Looker is implemented by sources that find out about commits when they ask, and
// so can be had to ask now: sources that poll, and those that follow a log.
//
// Without it nothing more is known of what the source has not reported yet. That
// suits sources that report each commit before its writer goes on.
type Looker interface {
	// Look returns nil when everything that was committed before the call, as far
	// as the source can find out, has been reported, or precedes a call of
	// [Sink.Watching] that has been made. It is called while somebody waits for a
	// mark ([core.Registry.Reach]), concurrently, and at any time: also before
	// Watch and after it. The context bounds it. After another error it is called
	// again, a little later, as long as anybody waits; but an error that wraps
	// errors.ErrUnsupported says that the source, as it is configured, has nothing
	// to ask, and is as if it were no Looker.
	Look(ctx context.Context) error
}

// Marker is implemented by sources that can name a point in the history of commits
// so that other nodes, with a source of the same kind, understand it.
type Marker interface {
	// MarkKind names the form of the source's parts of marks: a short word that
	// is the same on all nodes and does not change.
	MarkKind() string

	// Mark returns the source's part of a mark: it names everything that was
	// committed before the call; or, of a source that relays what others report,
	// everything that they have reported. Marks have room for about 170 bytes of all parts.
	// It is called concurrently, and delays the answer to a write, so it should
	// take one cheap question; the context bounds it. An error, or nil, makes a
	// mark without this part: other nodes then understand less.
	Mark(ctx context.Context) ([]byte, error)

	// Reach returns nil when everything that the part names has been reported, or
	// precedes a call of [Sink.Watching] that has been made. It returns
	// [ErrForeign] where it cannot tell, now or later: the part is of another
	// database, or is nothing that Mark has returned. It must never return nil
	// for such a part. Otherwise it is as [Looker].Look.
	Reach(ctx context.Context, part []byte) error
}

// ErrForeign means that a part of a mark says nothing here; see [Marker].
var ErrForeign = errors.New("driver: the mark was made elsewhere, and nobody can tell here whether it has been reached")
