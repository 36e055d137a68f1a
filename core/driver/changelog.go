package driver

import "context"

// ChangeLog tells which rows of tables were changed between two moments, without reading
// the tables: it reads what the database keeps of its last commits anyway. A source that
// notices afterwards that somebody has committed hands it over with what is to be compared,
// see [Change.Log]. Its methods are called by the feeds of several tables, concurrently.
type ChangeLog interface {
	// Position returns where the log ends now. Whatever is committed later lies behind it.
	// The empty Position lies before everything that was committed since the source said
	// that it watches.
	Position() (Position, error)

	// Changed returns the keys of all rows of the tables that were changed after the
	// position. It covers at least the commits that a snapshot shows which was opened
	// before the call; what it returns beside them is harmless. A table whose rows
	// did not change, or that the log is not about, is left out. The slices are the
	// engine's from the call on.
	//
	// An error says that other rows of these tables may have changed as well. The engine
	// then shows none of these changes before it has compared the tables.
	Changed(ctx context.Context, tables []Table, after Position) (map[Table][]Key, error)
}

// Position is a place in a [ChangeLog]. Only the log knows what it means.
type Position string
