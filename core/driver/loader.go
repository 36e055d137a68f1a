package driver

import (
	"context"
	"errors"
	"fmt"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// Loader reads the rows of one table as values of T. Bindings share reads when they share a
// Loader: the engine compares Loaders with ==, so implement Loader on a pointer.
//
// These three methods suffice to bind a table: the engine then applies filter, order and
// limit in memory. A loader over a database adds [Querier], [Snapshotter] and [Preparer].
//
// All reading methods may be called concurrently. The engine owns the rows that they
// return: the loader neither keeps nor modifies them, and returns a new pointer each time.
type Loader[T any] interface {
	// Schema describes the table. It does no I/O; the error tells the user what is wrong
	// with the model. The engine calls it when the binding is registered, and again after
	// Prepare.
	Schema() (Schema, error)

	// Value returns the value of a column of the row, by its position in
	// Schema.Columns, converted to the column's kind.
	Value(row *T, column int) value.Value

	// Load reads the rows with these keys, or all rows when keys is nil. It skips keys
	// without a row; the order of the rows does not matter. The engine never passes an
	// empty, non-nil slice. All rows must be of one moment: Load uses one statement, or one
	// transaction.
	//
	// One unreadable row need not fail the others: Load may return the rows that it could
	// read together with a [*RowError] for each of the others. After any other error the
	// engine looks for the bad rows by reading fewer keys at a time, which works only for
	// keys that it knows.
	Load(ctx context.Context, keys []Key) ([]*T, error)
}

// Terms are the parts of a declaration that only the loader understands.
type Terms struct {
	// Where restricts the binding. The engine asks the loader which of the changed rows
	// meet it. Nil restricts nothing. The loader must be a [Querier].
	Where Condition
	// Relations name the related rows that the binding's rows show. The loader
	// must be [RelationLoader].
	Relations []string
}

// Condition is a condition in a loader's own terms. The loader that evaluates it knows the
// concrete type.
type Condition interface {
	// String identifies the condition in version tokens and errors: equal conditions have
	// equal texts.
	String() string
	// Validate returns the problems of the condition. core.Registry.Start reports them.
	Validate() error
}

// Query says which rows to read. All its conditions must hold.
type Query struct {
	// Keys restricts the result to these keys; nil does not restrict it.
	Keys []Key
	// Filter restricts the result to the rows for which it is true; nil does not restrict
	// it.
	Filter filter.Expr
	// Where is a condition in the loader's own terms, nil for none. See [Terms].
	Where Condition
	// With a Limit above 0 the result is the first Limit rows in Order, which then ends
	// with the key columns. When a column of Order has a collation the rows come in that
	// order, limited or not. Otherwise their order does not matter.
	Order []Order
	Limit int
}

// Querier is implemented by loaders whose database evaluates filters. Without it the engine
// refuses bindings with a condition in the loader's own [Terms], or with a filter that is
// not exact for its columns.
type Querier[T any] interface {
	// Query reads the rows that match the query, in one statement or one transaction. It
	// reports unreadable rows as [Loader].Load does.
	Query(ctx context.Context, q Query) ([]*T, error)
}

// Scanner is implemented by loaders that can read a large table in pieces, so that neither
// the loader nor the engine holds all rows at once. Without it the engine compares a table
// after one [Loader].Load of everything.
type Scanner[T any] interface {
	// Scan reads the rows that match the query, each once and in any order, and calls visit
	// with about size of them at a time. The query has no Keys, Order or Limit. Scan stops
	// at visit's error and returns it. visit may be slow, so Scan must not hold locks that
	// block writers. With a snapshot's context, Scan reads that state; otherwise it may
	// include or miss rows committed while it runs. To decline a query that it cannot read
	// in pieces, it returns an error that wraps errors.ErrUnsupported before the first call
	// of visit.
	Scan(ctx context.Context, q Query, size int, visit func([]*T) error) error
}

// LiteralChecker is implemented by loaders with columns for which only the database knows
// the valid values ([Column].Asked), such as the labels of an enumeration.
type LiteralChecker interface {
	// CheckLiteral returns why the database refuses to compare the column with the value,
	// in words that a client may see, or "" when it accepts the value. The engine calls it,
	// concurrently, when a client opens a family's member that does not exist yet, with the
	// client's context. An error counts as acceptance.
	CheckLiteral(ctx context.Context, column string, v value.Value) (detail string, err error)
}

// Snapshotter is implemented by loaders whose database can make several reads see the same
// state.
type Snapshotter interface {
	// Snapshot opens a read-only view of the database. It shows the commits that were
	// visible at some moment during the call, and no later ones. When ctx ends the snapshot
	// may end too.
	Snapshot(ctx context.Context) (Snapshot, error)
}

// Snapshot is a read-only view of a database that stays the same while it is open. Its
// methods may be called concurrently.
type Snapshot interface {
	// Context returns a context that carries the snapshot. Every Loader of the same
	// Table.Database reads in the snapshot when given this context or one derived from it.
	Context(ctx context.Context) context.Context
	// Close is called once, after the last read.
	Close()
}

// ScalarSnapshot is a Snapshot that sources can query, see [Scalar]. Loaders of databases
// whose log a [Follower] follows open such snapshots.
type ScalarSnapshot interface {
	Snapshot
	// Scalar runs one statement in the snapshot and returns its only value as
	// text.
	Scalar(ctx context.Context, statement string) (string, error)
}

// Scalar runs one statement in the snapshot and returns its only value as text. It returns
// an error that wraps errors.ErrUnsupported when the snapshot is not a [ScalarSnapshot].
func Scalar(ctx context.Context, s Snapshot, statement string) (string, error) {
	q, ok := s.(ScalarSnapshot)
	if !ok {
		return "", fmt.Errorf("driver: questioning the snapshot of a loader that does not offer it: %w", errors.ErrUnsupported)
	}
	return q.Scalar(ctx, statement)
}

// Preparer is implemented by loaders that must ask the database before they know their full
// schema (collations, for example), or whose database can tell which tables their rows are
// read from.
type Preparer interface {
	// Prepare is called before the first read, retried with back-off when it fails, and
	// called again when a read returns [ErrSchemaChanged]. It asks the database anew each
	// time; other methods may be called meanwhile. The columns, their positions and the key
	// must stay the same: only how columns compare (Kind, Exact), what they are called, and
	// what writers may do can change. declared holds the tables that the binding depends on
	// ([Schema].Depends). Warnings are only logged. When rows are read from an undeclared
	// table, for example, the binding works but misses that table's changes, see
	// [Undeclared].
	Prepare(ctx context.Context, declared []Table) (warnings []error, err error)
}

// SchemaChecker is implemented by Preparers whose database may be altered while they are in
// use: a column changes its type, or another table takes the table's place.
type SchemaChecker interface {
	Preparer
	// SchemaChanged reports whether the table differs from what Prepare learned. If so, the
	// engine calls Prepare again and reads all bindings of the loader anew. The engine
	// calls it before it reads or compares a whole table, perhaps concurrently with other
	// methods, so it must be quick. An error counts as no change.
	SchemaChanged(ctx context.Context) (bool, error)
}

// Undeclared returns the warning that rows are read from a table that their binding does
// not depend on.
func Undeclared(t Table) error {
	return fmt.Errorf("the rows are read from table %q, which the binding does not depend on: its changes are not noticed, name it with DependsOn", t)
}

// Order is one column of an order.
type Order struct {
	Column string
	Desc   bool
	// Nulls places NULLs. By default they come first in ascending and last in descending
	// order, as if NULL were less than every value.
	Nulls Nulls
	// Collation orders a text column by a collation of the database, under the database's
	// name for it ("de-x-icu", "NOCASE"), or by [ColumnCollation]. "" orders it by its
	// bytes.
	//
	// Go does not know such orders. So the engine reads the binding anew, in that order,
	// when a row enters the binding or its order columns change. Other changes cost no more
	// than usual. The loader must be a [Querier]; the first read fails for an unknown
	// collation. The columns that follow, and finally the key, order texts that the
	// collation treats as equal.
	//
	// Clients cannot sort by such an order, so they are not told it. They see it in the
	// list and in a sync, and get a sync when only the order of rows changes.
	Collation string
}

// ColumnCollation selects the collation that the column has in the database, declared or by
// default.
const ColumnCollation = "default"

// Nulls places NULL in an order.
type Nulls uint8

// The places for NULLs.
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
