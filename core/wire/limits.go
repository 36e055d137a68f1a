package wire

import (
	"errors"
	"fmt"
)

// Limits bounds single messages. The zero value of a field means its default.
type Limits struct {
	// Rows bounds the rows of one message, and so of a page of a sync. The default is
	// [DefaultRows].
	Rows int
	// Bytes bounds the length of one message. A longer row is still sent, in a message of
	// its own. The default is [DefaultBytes], the minimum [MinBytes].
	Bytes int
}

// The default limits, and the minimum that leaves room for a message's other fields.
const (
	DefaultRows  = 1000
	DefaultBytes = 256 << 10
	MinBytes     = 1 << 10
)

// WithDefaults returns a copy in which every zero field has its default.
func (l Limits) WithDefaults() Limits {
	if l.Rows == 0 {
		l.Rows = DefaultRows
	}
	if l.Bytes == 0 {
		l.Bytes = DefaultBytes
	}
	return l
}

// Validate returns all problems of the limits, joined.
func (l Limits) Validate() error {
	var errs []error
	if l.Rows < 0 {
		errs = append(errs, fmt.Errorf("rows of a message: %d is negative", l.Rows))
	}
	if l.Bytes != 0 && l.Bytes < MinBytes {
		errs = append(errs, fmt.Errorf("bytes of a message: %d is less than %d", l.Bytes, MinBytes))
	}
	return errors.Join(errs...)
}
