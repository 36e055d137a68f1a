package live

import (
	"errors"
	"fmt"

	"github.com/binderyhq/bindery/core/driver"
)

// WriteOp is the operation of a [Write].
type WriteOp uint8

// The operations.
const (
	// Insert adds a row. The body must name every column that is neither nullable nor has a
	// default.
	Insert WriteOp = iota
	// Replace writes a whole row: columns missing from the body become NULL, or their
	// default.
	Replace
	// Merge writes the columns in the body (JSON Merge Patch, RFC 7396).
	Merge
	// Delete deletes the row.
	Delete
)

// Write is one write by a client.
type Write struct {
	Op WriteOp
	// Key is the row's key. Insert ignores it.
	Key driver.Key
	// Body is a JSON object of the row's fields, named as in the model's own JSON even when
	// a serializer shows rows differently. Columns that the binding leaves out are not
	// fields. Delete ignores it.
	Body []byte
	// Match, when set, must accept the row as the database has it now; otherwise the write
	// fails with [ErrPrecondition].
	Match func(Row) bool
	// Validate, when set, gets a pointer to the row as it would be written, a *T. Any
	// error, such as a [*driver.InvalidError], refuses the write.
	Validate func(row any) error
}

// WriteRules says which writes a binding's declaration allows.
type WriteRules struct {
	// Writable allows writes. RowsMayLeave allows a write after which the row is no longer
	// part of the binding. RequireMatch has transports refuse updates and deletes without a
	// precondition; the engine itself does not check it. ClientKeys lets inserts name the
	// key even when the database has a default for it.
	Writable, RowsMayLeave, RequireMatch, ClientKeys bool
}

// Why a write was refused, for errors.Is.
var (
	// ErrNotWritable means that the binding was not declared writable.
	ErrNotWritable = errors.New("live: binding is not writable")
	// ErrNoRow means that the binding does not hold the row.
	ErrNoRow = errors.New("live: no such row in the binding")
	// ErrPrecondition means that the precondition of the write does not hold.
	ErrPrecondition = errors.New("live: the row is not as the precondition demands")
)

// MalformedError says that a body is not one JSON object.
type MalformedError struct{ Detail string }

// Error returns the detail, in words that a client may see.
func (e *MalformedError) Error() string { return "live: malformed body: " + e.Detail }

// UnreadableError says that the database has a row that cannot be read or shown, so that the
// write was not carried out. A write that gives good values to the fields to blame mends the
// row.
type UnreadableError struct {
	Key driver.Key
	// Fields are those to blame, as far as that is known. Field is "" for columns that the
	// binding does not show.
	Fields []driver.FieldError
	// Cause is for logs, and never shown to clients.
	Cause error
}

// Error names the key and the cause.
func (e *UnreadableError) Error() string {
	return fmt.Sprintf("live: row %s cannot be read or shown as it is in the database: %v", e.Key, e.Cause)
}

// Unwrap returns the cause.
func (e *UnreadableError) Unwrap() error { return e.Cause }
