package wire

import (
	"errors"
	"fmt"
)

// Limits bounds single messages. The zero value of a field means its default.
type Limits struct {
	// Rows bounds the rows of one message, and so is the size of the pages of
	// a sync. The default is [DefaultRows].
	Rows int
	// Bytes bounds the length of one message. A row that is too long for it
	// still travels, in a message of its own. The default is [DefaultBytes],
	// the minimum [MinBytes].
	Bytes int
}

// The default limits, and the least that leaves room for a message's frame.
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

// Validate returns everything that is wrong with the limits.
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
