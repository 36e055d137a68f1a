package driver

import "context"

// ChangeLog tells which rows changed between two moments without reading the tables: it
// reads the record of recent commits that the database keeps anyway. A source that learns
// of a commit only afterwards passes it along with a comparison, see [Change.Log]. The
// feeds of several tables call its methods concurrently.
type ChangeLog interface {
	// Position returns the current end of the log. Later commits lie behind it. The empty
	// Position lies before every commit since the source called [Sink.Watching].
	Position() (Position, error)

	// Changed returns the keys of all rows of the tables that changed after the position.
	// It covers at least the commits visible in a snapshot opened before the call; extra
	// keys are harmless. It leaves out tables without changed rows and tables that the log
	// does not cover. The caller owns the returned slices.
	//
	// An error means that other rows of these tables may have changed as well. The engine
	// then compares the tables before it shows any of these changes.
	Changed(ctx context.Context, tables []Table, after Position) (map[Table][]Key, error)
}

// Position is a place in a [ChangeLog]. Only the log knows what it means.
type Position string
