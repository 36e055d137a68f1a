package live

import (
	"errors"

	"github.com/binderyhq/bindery/core/driver"
)

// WriteOp is what a [Write] does.
type WriteOp uint8

// The kinds of writes.
const (
	// Insert makes a new row. The body names every column that has neither a
	// default nor may be NULL.
	Insert WriteOp = iota
	// Replace writes a whole row: columns that the body does not name become
	// NULL, or their default.
	Replace
	// Merge writes the columns that the body names (RFC 7396).
	Merge
	// Delete deletes the row.
	Delete
)

// Write is one write by a client.
type Write struct {
	Op WriteOp
	// Key is the row's; it is not used by Insert.
	Key driver.Key
	// Body is a JSON object of the row's fields, as the model's own JSON names
	// them, also where a serializer shows rows otherwise. Columns that the binding
	// leaves out are no fields. It is not used by Delete.
	Body []byte
	// Match, when set, must hold for the row as the database has it.
	Match func(Row) bool
	// Validate, when set, is given a pointer to the row as it would be
	// written, a *T. A [*driver.InvalidError], or any other error, refuses the write.
	Validate func(row any) error
}

// WriteRules says what a binding's declaration lets clients write.
type WriteRules struct {
	// Writable: anything at all; RowsMayLeave: also so that a row is no longer
	// part of the binding; RequireMatch: updates and deletes only with a
	// precondition; ClientKeys: inserts may name the key though the database has
	// a default for it.
	Writable, RowsMayLeave, RequireMatch, ClientKeys bool
}

// Why a write was refused, for errors.Is.
var (
	// ErrNotWritable refuses writes to a binding that was not declared writable.
	ErrNotWritable = errors.New("live: binding is not writable")
	// ErrNoRow refuses writes to a row that the binding does not hold.
	ErrNoRow = errors.New("live: no such row in the binding")
	// ErrPrecondition refuses writes whose precondition does not hold.
	ErrPrecondition = errors.New("live: the row is not as the precondition demands")
)

// MalformedError says that a body is no JSON object.
type MalformedError struct{ Detail string }

// Error says what is wrong, in words that a client may see.
func (e *MalformedError) Error() string { return "live: malformed body: " + e.Detail }
