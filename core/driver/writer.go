package driver

import (
	"context"
	"encoding/json"
)

// Writer is implemented by loaders whose database accepts writes through Bindery. Only
// bindings declared core.Writable accept writes; the engine decides whether a write is
// allowed, the loader carries it out.
//
// The methods may be called concurrently. The engine calls Insert, Update and Delete with
// the context that Transact passes to its function, or one derived from it. With such a
// context the loader's reading methods read in the transaction and see its writes.
//
// Return an [*InvalidError] for errors that the client can fix: a violated constraint, a
// number out of range, an error raised by a trigger. Return [ErrRefused] when the database
// refuses the write whatever the values. Other errors are never shown to clients.
type Writer[T any] interface {
	// Transact runs fn in one transaction and commits it when fn returns nil. It may run fn
	// again when the database asks for it (a deadlock, a serialization failure). It returns
	// fn's error unchanged, except for errors of this Writer's own methods, about which it
	// may find out more once the transaction is over. An error at COMMIT (a deferred
	// constraint) is returned like one from a statement.
	Transact(ctx context.Context, fn func(ctx context.Context) error) error

	// Lock prevents others from changing the row until the transaction ends. A key without
	// a row is not an error.
	Lock(ctx context.Context, key Key) error

	// Insert writes a new row from the named columns of row and leaves the other columns to
	// the database. It returns the key of the new row, or [ErrRefused] when the database
	// inserted none.
	Insert(ctx context.Context, row *T, columns []string) (Key, error)

	// Update writes the named columns of row into the row with the key, and resets the
	// columns in defaults to their defaults where the database can. Neither list contains a
	// key column. It returns [ErrRefused] when the row exists and the database did not
	// update it.
	Update(ctx context.Context, key Key, row *T, columns, defaults []string) error

	// Delete deletes the row with the key, as the model does it (a model with soft deletes
	// is soft-deleted). It returns [ErrRefused] when the row exists and the database did
	// not delete it.
	Delete(ctx context.Context, key Key) error
}

// DocumentWriter is implemented by Writers whose columns can hold JSON documents. When a
// client patches one member of a document, the other members stay as the database has them,
// even those unknown to T and numbers that Go would round.
type DocumentWriter[T any] interface {
	// Documents returns the row's JSON documents in the named columns, by column, as the
	// transaction sees them. It leaves out columns that hold NULL or are not JSON.
	Documents(ctx context.Context, key Key, columns []string) (map[string]json.RawMessage, error)

	// UpdateDocuments works as Update, but writes the documents into their columns, which
	// are among the named ones, in place of the values in row.
	UpdateDocuments(ctx context.Context, key Key, row *T, columns, defaults []string, documents map[string]json.RawMessage) error
}

// PartialLoader is implemented by Writers that can read a row without some of its columns. A
// client can then mend a row that cannot be read, by a write of the columns to blame.
// Without it, clients can only delete such a row.
type PartialLoader[T any] interface {
	// LoadWithout reads the row with the key, as the transaction sees it, but not the named
	// columns: their fields keep their zero values, as related rows do. None of them is a
	// key column. It returns nil when there is no such row, and a [*RowError] when the row
	// cannot be read without these columns either.
	LoadWithout(ctx context.Context, key Key, columns []string) (*T, error)
}
