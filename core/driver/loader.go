package driver

import (
	"context"
	"errors"
	"fmt"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// Loader reads the rows of one table as values of T. Bindings that are to
// share reads share a Loader: the engine compares them with ==, so a Loader is
// a pointer.
//
// These three methods make any table bindable: filter, order and limit are
// then applied in memory. [Querier], [Snapshotter] and [Preparer] are what a
// loader over a database adds.
//
// All reading methods may be called concurrently. Rows handed over are the
// engine's: the loader neither keeps nor modifies them, and no two calls
// return the same pointer.
type Loader[T any] interface {
	// Schema describes the table. It does no input or output; the error tells
	// the user what is wrong with the model. The engine calls it when the
	// binding is registered, and again after Prepare.
	Schema() (Schema, error)

	// Value returns the value of a column of the row, by its position in
	// Schema.Columns, converted to the column's kind.
	Value(row *T, column int) value.Value

	// Load reads the rows that have the keys, or all rows when keys is nil.
	// Keys that no row has are left out; the order does not matter. An empty,
	// non-nil slice is never passed. The rows are those of one moment: Load
	// uses one statement, or one transaction.
	//
	// A row that cannot be read need not fail the others: Load may return the
	// rows that it could read together with a [*RowError] for each of the others.
	// After any other error the engine finds such rows by reading fewer keys at
	// a time, but only among keys that it knows.
	Load(ctx context.Context, keys []Key) ([]*T, error)
}

// Terms are what a declaration says in its loader's own terms, which the engine
// does not understand.
type Terms struct {
	// Where restricts the binding. The loader is asked which of the rows that
	// changed meet it. Nil restricts nothing. The loader must be a [Querier].
	Where Condition
	// Relations name the related rows that the binding's rows show. The loader
	// must be [RelationLoader].
	Relations []string
}

// Condition is a condition in a loader's own terms. The loader that evaluates it
// knows its concrete type.
type Condition interface {
	// String stands for the condition in version tokens and errors: equal
	// conditions have equal texts.
	String() string
	// Validate returns what is wrong with the condition. Start reports it.
	Validate() error
}

// Query says which rows to read. All its conditions must hold.
type Query struct {
	// Keys restricts the answer to these keys; nil does not restrict it.
	Keys []Key
	// Filter restricts the answer to the rows for which it is true; nil does
	// not restrict it.
	Filter filter.Expr
	// Where is a condition in the loader's own terms, nil for none. See [Terms].
	Where Condition
	// Order and Limit: with a Limit above 0 the answer is the first Limit rows
	// in Order (which then ends with the key columns). Where a column of Order has
	// a collation the answer comes in that order, limited or not; otherwise the
	// order of the answer does not matter.
	Order []Order
	Limit int
}

// Querier is implemented by loaders whose database evaluates filters. Without
// it, bindings with a condition in the loader's own [Terms] or with a filter that is not exact
// for its columns are refused.
type Querier[T any] interface {
	// Query reads the rows that the query names, in one statement or one
	// transaction. It reports rows that cannot be read as [Loader].Load does.
	Query(ctx context.Context, q Query) ([]*T, error)
}

// Scanner is implemented by loaders that can read a large table in pieces, so
// that neither the loader nor the engine ever holds all rows as read. Without it
// a table is compared after one [Loader].Load of everything.
type Scanner[T any] interface {
	// Scan reads the rows that the query names, each once and in any order,
	// and calls visit with about size of them at a time. The query has no Keys,
	// Order or Limit. Scan stops at visit's error and returns it. visit may take
	// its time, so Scan holds nothing that writers wait for. Given a
	// snapshot's context, Scan reads that state; otherwise rows that are committed
	// while it runs may be among the rows or not. An error that wraps
	// errors.ErrUnsupported, before the first call of visit, says that it cannot
	// read this query in pieces.
	Scan(ctx context.Context, q Query, size int, visit func([]*T) error) error
}

// LiteralChecker is implemented by loaders with columns of which only the database
// knows what they can be compared with ([Column].Asked): the labels of an
// enumeration, for one.
type LiteralChecker interface {
	// CheckLiteral returns why the database refuses to compare the column with the
	// value, in words that a client may see, and "" when it does not refuse. It is
	// called when a member of a family is asked for that is not there yet, with the
	// context of who asks, concurrently. After an error it counts as not refused.
	CheckLiteral(ctx context.Context, column string, v value.Value) (detail string, err error)
}

// Snapshotter is implemented by loaders whose database can show several reads
// one and the same state.
type Snapshotter interface {
	// Snapshot opens a read-only view of the database. It shows the commits that
	// were visible at some moment during the call, and no later ones. It may end
	// with ctx.
	Snapshot(ctx context.Context) (Snapshot, error)
}

// Snapshot is a read-only view of a database, which does not change while it is
// open. Its methods may be called concurrently.
type Snapshot interface {
	// Context returns a context that carries the snapshot. Every Loader of the
	// same Table.Database that is given this context, or one derived from it, reads
	// in the snapshot.
	Context(ctx context.Context) context.Context
	// Close is called once, when reading is done.
	Close()
}

// ScalarSnapshot is a Snapshot that sources can question, see [Scalar]. A database
// with a log that a [Follower] follows opens such snapshots.
type ScalarSnapshot interface {
	Snapshot
	// Scalar runs one statement in the snapshot and returns its only value as
	// text.
	Scalar(ctx context.Context, statement string) (string, error)
}

// Scalar runs one statement in the snapshot and returns its only value as text. It
// returns an error that wraps errors.ErrUnsupported when the snapshot is no
// [ScalarSnapshot].
func Scalar(ctx context.Context, s Snapshot, statement string) (string, error) {
	q, ok := s.(ScalarSnapshot)
	if !ok {
		return "", fmt.Errorf("driver: questioning the snapshot of a loader that does not offer it: %w", errors.ErrUnsupported)
	}
	return q.Scalar(ctx, statement)
}

// Preparer is implemented by loaders that must ask the database before they
// know their schema in full (collations, for example), or whose database can tell
// which tables their rows are read from.
type Preparer interface {
	// Prepare is called before the first read, again, with back-off, when it
	// fails, and again when a read has returned [ErrSchemaChanged]. It then asks
	// the database anew; other methods may be called meanwhile. The columns and
	// their positions stay what they are, and so does the key: what may change is
	// how they compare (Kind, Exact), what they are called, and what writers may do.
	// Declared are the tables that the binding depends on
	// ([Schema].Depends). Warnings are logged and change nothing else: where
	// the rows are read from a table that is not declared, the binding works and
	// does not notice the table's changes, see [Undeclared].
	Prepare(ctx context.Context, declared []Table) (warnings []error, err error)
}

// SchemaChecker is implemented by Preparers whose database may be altered while they
// are used: a column gets another type, a table is replaced by another one.
type SchemaChecker interface {
	Preparer
	// SchemaChanged reports whether the database describes the table otherwise than
	// Prepare has learned it; then Prepare is called again, and all bindings of the loader
	// are read anew. It is called before a table is read or compared as a whole,
	// perhaps concurrently with other methods, and answers quickly. After an error
	// nothing is done.
	SchemaChanged(ctx context.Context) (bool, error)
}

// Undeclared returns the warning that rows are read from a table on which their
// binding does not depend.
func Undeclared(t Table) error {
	return fmt.Errorf("the rows are read from table %q, which the binding does not depend on: its changes are not noticed, name it with DependsOn", t)
}

// Order is one column of an order.
type Order struct {
	Column string
	Desc   bool
	// Nulls places NULLs; the zero value puts them first in ascending and
	// last in descending order, as if NULL were less than every value.
	Nulls Nulls
	// Collation orders a column of text by a collation of the database's, named
	// as the database names it ("de-x-icu", "NOCASE"), or [ColumnCollation]. ""
	// orders it by its bytes.
	//
	// Go does not know such orders, so the database is asked: when a row comes
	// that the binding did not hold, or its order columns change, the binding is
	// read anew, in that order. Other changes cost what they always do. The
	// loader must be a [Querier]; an unknown collation is an error of the first
	// read. Two texts that the collation takes for equal are ordered by the
	// columns that follow, in the end by the key.
	//
	// Clients are not told such an order, since they cannot sort by it: they
	// have it from the list, and from a sync. When nothing but the order of rows
	// changes they get a sync.
	Collation string
}

// ColumnCollation is the collation that the column has in the database, by its
// declaration or by default.
const ColumnCollation = "default"

// Nulls places NULL in an order.
type Nulls uint8

// The places that NULLs can have.
const (
	NullsLowest Nulls = iota // less than every value
	NullsFirst
	NullsLast
)

// String returns the column's name, with a leading "-" when descending.
func (o Order) String() string {
	if o.Desc {
		return "-" + o.Column
	}
	return o.Column
}
