package audit

import (
	"context"

	"github.com/binderyhq/bindery/core/driver"
)

// Row is a row of the database, as a pass has read it. Value is nil if no row has
// the key.
type Row struct {
	Key   driver.Key
	Value any
}

// Reading reads one set of rows of a pass's snapshot: all rows of a loader, or
// those of one query. The auditor uses it from one goroutine.
type Reading interface {
	// Scan reads all rows, in any order, and calls visit with some of them at a
	// time. It stops at visit's error and returns it. unread are the keys of rows
	// that cannot be read.
	Scan(ctx context.Context, visit func([]Row) error) (unread []driver.Key, err error)

	// Find reads the rows of the keys. It leaves out keys that no row has.
	Find(ctx context.Context, keys []driver.Key) (rows []Row, unread []driver.Key, err error)

	// Bindings returns the bindings that hold rows of this set. It returns the
	// same ones in the same order each time.
	Bindings() []Binding

	// Match calls visit once for each binding, by its position, whose
	// condition the row meets.
	Match(value any, visit func(binding int))
}

// Binding is a binding as a comparison sees it: a set of held rows, which may
// change at any time. All methods may be called from any goroutine.
type Binding interface {
	// Holds reports whether the binding holds a row with the row's key, and whether
	// giving it the row, which meets its condition, would change nothing.
	Holds(row Row) (held, same bool)

	// Keys calls visit with the keys of all rows held, until visit returns
	// false.
	Keys(visit func(driver.Key) bool)
}
