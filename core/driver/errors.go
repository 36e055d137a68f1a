package driver

import (
	"errors"
	"strconv"
)

// permanentError marks an error that trying again does not mend.
type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Permanent marks err as one that trying again does not mend: a source that
// returns it from Watch is not started again. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent reports whether err, or one that it wraps, was marked by
// [Permanent].
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

// ErrSchemaChanged is returned by reads of a [Preparer] that find its [Schema] to be
// out of date: the table was altered, or holds what the Schema says that it does
// not. No row may come with it. The engine has the loader prepared again, checks the
// bindings by the new Schema, and reads all of them in full.
var ErrSchemaChanged = errors.New("driver: the table is not as its schema was learned")

// ErrLate is returned by [Receipt].Wait at once when the bindings of a table are
// late already: somebody has waited for them in vain, and nobody need do so again
// until they have caught up.
var ErrLate = errors.New("driver: the bindings have not caught up for long, so nobody waits for them now")

// ErrRefused says that the database does not let the row be written: its
// row-level security hides the row from writers, a trigger skips it, or its role
// may not write. Whatever the client writes, it is refused.
var ErrRefused = errors.New("driver: the database does not let the row be written")

// InvalidError says why a write was refused because of what it would write.
type InvalidError struct {
	Fields []FieldError
	// Cause is what the database said, nil when it was not asked. It is for logs,
	// and never shown to clients.
	Cause error
}

// FieldError says what is wrong with one field.
type FieldError struct {
	// Field is the field's name in the encoded row, "" when the row as a whole
	// is wrong. A field inside of objects is named by its path, with dots.
	Field string
	// Column is the column that the field stands for, "" when it is not known. It
	// is for logs, and never shown to clients.
	Column string
	// Detail says what is wrong, in words that a client may see.
	Detail string
}

// Unwrap returns the cause.
func (e *InvalidError) Unwrap() error { return e.Cause }

// Error names the fields and what is wrong with them.
func (e *InvalidError) Error() string {
	text := "driver: the row is not acceptable"
	for i, f := range e.Fields {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		if f.Field != "" {
			text += sep + strconv.Quote(f.Field) + ": " + f.Detail
		} else {
			text += sep + f.Detail
		}
	}
	return text
}

// Invalid returns an [*InvalidError] about one field.
func Invalid(field, detail string) error {
	return &InvalidError{Fields: []FieldError{{Field: field, Detail: detail}}}
}
