package driver

import (
	"context"
	"encoding/json"
)

// Writer is implemented by loaders whose database can be written to through
// Bindery. A binding is written to only where its declaration says
// [Writable]; the engine decides whether a write is admissible, the loader
// carries it out.
//
// The methods may be called concurrently. Insert, Update and Delete are called
// with the context that Transact passes to its function, or with one derived
// from it, and so are the loader's reading methods, which then read in the
// transaction and see what it has written.
//
// What a client can mend is returned as an [*InvalidError]: a constraint that
// the row violates, a number out of range, what a trigger raises. What it cannot
// mend, and the database refuses for good, is [ErrRefused]. Other errors are
// taken for the database's own and are never shown to clients.
type Writer[T any] interface {
	// Transact runs fn in one transaction and commits it when fn returns nil.
	// It may run fn again when the database asks for it (a deadlock, a
	// serialization failure). The error of fn is returned as it is, unless it is
	// one of this Writer's own methods: Transact may find out more about it when
	// the transaction is over. What COMMIT refuses (a deferred constraint) is
	// returned as what a statement refuses.
	Transact(ctx context.Context, fn func(ctx context.Context) error) error

	// Lock makes sure that nobody else changes the row until the transaction
	// ends. A key that no row has is no error.
	Lock(ctx context.Context, key Key) error

	// Insert writes a new row from the named columns of row and leaves the
	// others to the database. It returns the key that the row has come to have,
	// and [ErrRefused] when the database made no row.
	Insert(ctx context.Context, row *T, columns []string) (Key, error)

	// Update writes the named columns of row into the row with the key, and
	// sets those of defaults to their defaults as far as the database can. It
	// is never called for a key column. It returns [ErrRefused] when the row is
	// there and the database did not update it.
	Update(ctx context.Context, key Key, row *T, columns, defaults []string) error

	// Delete deletes the row with the key, in the way of the model (a model
	// with soft deletes is soft-deleted). It returns [ErrRefused] when the row is
	// there and the database did not delete it.
	Delete(ctx context.Context, key Key) error
}

// DocumentWriter is implemented by Writers whose columns can hold JSON documents.
// A client that patches one member of a document then leaves the others as the
// database has them: also those that T does not know, and numbers that Go
// rounds.
type DocumentWriter[T any] interface {
	// Documents returns, by column, the JSON documents that the row has in the
	// named columns, as the transaction sees them. Columns that hold NULL, or no
	// JSON, are left out.
	Documents(ctx context.Context, key Key, columns []string) (map[string]json.RawMessage, error)

	// UpdateDocuments is Update that writes the documents into their columns,
	// which are among the named ones, instead of what row has there.
	UpdateDocuments(ctx context.Context, key Key, row *T, columns, defaults []string, documents map[string]json.RawMessage) error
}
