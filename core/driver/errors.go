package driver

import (
	"errors"
	"strconv"
)

// permanentError marks an error that a retry cannot fix.
type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Permanent marks err as one that a retry cannot fix: the registry does not call Watch
// again on a source that returns it. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent reports whether err, or an error that it wraps, was marked by [Permanent].
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

// ErrSchemaChanged is returned by reads of a [Preparer] that find its [Schema] out of date:
// the table was altered, or holds a value that the Schema rules out. The read must return
// no rows. The engine calls Prepare again, checks the bindings against the new Schema, and
// reads them all in full.
var ErrSchemaChanged = errors.New("driver: the table is not as its schema was learned")

// ErrLate is returned by [Receipt].Wait at once while the bindings of a table are late: an
// earlier Wait has timed out, so others do not wait as well until the bindings have caught
// up.
var ErrLate = errors.New("driver: the bindings have not caught up for long, so nobody waits for them now")

// ErrRefused means that the database does not allow the write: row-level security hides the
// row from writers, a trigger skips it, or the role lacks the right. No change of the
// values helps.
var ErrRefused = errors.New("driver: the database does not let the row be written")

// InvalidError says why the values of a write were refused.
type InvalidError struct {
	Fields []FieldError
	// Cause is the database's error, nil when the database was not asked. It is for logs,
	// and never shown to clients.
	Cause error
}

// FieldError says what is wrong with one field.
type FieldError struct {
	// Field is the field's name in the encoded row, "" when the row as a whole is wrong. A
	// field inside nested objects is named by its path, joined by dots.
	Field string
	// Column is the column behind the field, "" when it is not known. It is for logs, and
	// never shown to clients.
	Column string
	// Detail says what is wrong, in words that a client may see.
	Detail string
}

// Unwrap returns the cause.
func (e *InvalidError) Unwrap() error { return e.Cause }

// Error lists the fields, each with its detail.
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
