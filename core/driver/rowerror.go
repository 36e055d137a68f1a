package driver

import "fmt"

// RowError says that one row could not be read while others could: for example, it holds a
// value that does not fit its Go field. A [Loader] that can tell returns the readable rows
// together with a RowError for each of the others, joined by errors.Join. The engine then
// marks only the bindings that show such a row as stale.
//
// An error that holds anything besides RowErrors fails the read as a whole.
type RowError struct {
	// Key is the row's key.
	Key Key
	// Err says what is wrong with the row.
	Err error
}

// Error returns the row's key and the error.
func (e *RowError) Error() string { return fmt.Sprintf("row %s: %v", e.Key, e.Err) }

// Unwrap returns Err.
func (e *RowError) Unwrap() error { return e.Err }

// RowErrors returns the row errors that err consists of. It returns nil when err is nil or
// contains any other error.
func RowErrors(err error) []*RowError {
	switch e := err.(type) { //nolint:errorlint // it takes joined errors apart
	case nil:
		return nil
	case *RowError:
		return []*RowError{e}
	case interface{ Unwrap() []error }:
		var all []*RowError
		for _, one := range e.Unwrap() {
			found := RowErrors(one)
			if found == nil {
				return nil
			}
			all = append(all, found...)
		}
		return all
	case interface{ Unwrap() error }:
		return RowErrors(e.Unwrap())
	}
	return nil
}
