package driver

import "context"

// RelationLoader is implemented by loaders whose rows show rows of other tables, as
// an album shows its artist. A change of a row of such a table is then a change
// of the rows that show it: those that the engine holds and that showed it
// when they were read ([RelationLoader.RelatedKeys]), and those that the database says show
// it now ([RelationLoader.Referrers]). Both are read again.
//
// Membership and order of a binding depend on the loader's own table alone.
//
// A loader that can show related rows and shows none yet implements RelationLoader too:
// its Related is empty.
//
// All methods may be called concurrently.
type RelationLoader[T any] interface {
	// WithRelations returns the loader whose rows also show what the names
	// stand for; the names are in the loader's own terms. It does no input or
	// output. The Schema method of the result reports what is wrong with the
	// names. The same names, in any order, give the same loader, so that bindings
	// share its reads.
	WithRelations(names ...string) Loader[T]

	// Related describes the tables whose rows are shown, and those that link
	// them (junction tables), always in the same order. A table that is reached
	// in two ways is there twice; the loader's own table may be there. It does no
	// input or output, and is called after Schema, and again after Prepare.
	Related() []Related

	// RelatedKeys returns the keys of the rows of a related table, by its position
	// in Related, that take part in the row as it was read: those that it
	// shows, those through which it reaches them, and those that link them. The
	// row is one that this loader has returned. A key may be there twice.
	RelatedKeys(row *T, related int) []Key

	// Referrers returns the keys of the rows in which the rows of a related table
	// that have these keys take part now. It may return keys of rows in
	// which they do not, of rows that no binding holds, and a key twice. Where
	// they are more than limit it returns any limit+1 of them. The keys are at
	// least one, and may be those of rows that are not there. ctx carries the
	// snapshot in which the rows are read.
	Referrers(ctx context.Context, related int, keys []Key, limit int) ([]Key, error)
}

// Related is one table whose rows are shown in the rows of another.
type Related struct {
	// Schema describes the table. Sources are asked to watch it.
	Schema Schema
	// Opaque says that keys of the table tell nothing: after any change of it
	// everything is read again. RelatedKeys and Referrers are not called for it.
	Opaque bool
}
