package driver

import "context"

// RelationLoader is implemented by loaders whose rows show rows of other tables, as an
// album shows its artist. A change of such a related row then changes the rows that show
// it. The engine reads these again: the rows that it holds and that showed the related row
// when they were read ([RelationLoader.RelatedKeys]), and the rows that show it now
// according to the database ([RelationLoader.Referrers]).
//
// Membership and order of a binding depend on the loader's own table alone.
//
// A loader that supports related rows but shows none yet implements RelationLoader too: its
// Related is empty.
//
// All methods may be called concurrently.
type RelationLoader[T any] interface {
	// WithRelations returns a loader whose rows also show the named relations; the names
	// are in the loader's own terms. It does no I/O. The Schema method of the result
	// reports bad names. The same names, in any order, must give the same loader, so that
	// bindings share its reads.
	WithRelations(names ...string) Loader[T]

	// Related describes the tables whose rows are shown, and the junction tables that link
	// them, always in the same order. A table reached in two ways appears twice; the
	// loader's own table may appear. It does no I/O, and is called after Schema, and again
	// after Prepare.
	Related() []Related

	// RelatedKeys returns the keys of the rows of a related table, given by its position in
	// Related, that contributed to the row when it was read: those that it shows, those on
	// the path to them, and those that link them. This loader has returned the row.
	// Duplicate keys are allowed.
	RelatedKeys(row *T, related int) []Key

	// Referrers returns the keys of the rows to which the related rows with these keys
	// contribute now. Extra keys, keys of rows that no binding holds, and duplicates are
	// allowed. When there are more than limit, it returns any limit+1 of them. keys is not
	// empty, and may name rows that do not exist. ctx carries the snapshot in which the
	// engine reads the rows.
	Referrers(ctx context.Context, related int, keys []Key, limit int) ([]Key, error)
}

// Related is one table whose rows are shown in the rows of another.
type Related struct {
	// Schema describes the table. Sources are asked to watch it.
	Schema Schema
	// Opaque says that the table's keys do not help: after any change of it the engine
	// reads everything again. It does not call RelatedKeys and Referrers for such a table.
	Opaque bool
}
