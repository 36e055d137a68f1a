package pollsource

import (
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// Config tunes a source. The zero value of each field means its default.
type Config struct {
	// Database is the name of the database, as [driver.Table].Database spells it.
	// The default, "", suits programs with a single database; for a source without
	// a [Check] and without Tables it means every database.
	Database string

	// Tables are the tables to watch; the default is every bound table of the
	// database. An empty Schema matches any, an empty Database means the field
	// above. The registry does not start if one of them is not bound.
	Tables []driver.Table

	// MaxInterval lets the interval grow while nothing changes: it doubles
	// with each poll that finds nothing, up to this, and returns to its start
	// with the first change. By default it does not grow. MaxInterval needs a
	// check: without one it is an error.
	MaxInterval time.Duration

	// FullPass is the longest time between two comparisons of a table: the first
	// poll after it compares the table, whatever the check finds. So changes that
	// the check cannot see are found within that time. [DataVersion] and [XMin]
	// make no full pass while nothing is committed. The default is one minute for
	// [XMin] and 10 minutes for the others; negative means never. Without a check
	// every poll is a full pass, and setting FullPass is an error.
	FullPass time.Duration

	// Jitter shortens each wait at random, by up to this fraction of it, so
	// that many processes do not ask at the same moment. It is between 0 and
	// 1; the default is 0.1, and negative means none.
	Jitter float64

	// Timeout bounds each look of a check: all its statements for one table, or
	// for one database if the check looks at that. A look that takes longer counts
	// as failed. The default is 30 seconds.
	Timeout time.Duration
}

const (
	defaultJitter  = 0.1
	defaultTimeout = 30 * time.Second
)

// WithDefaults returns a copy in which every zero field has its default, except
// FullPass, whose default depends on the check.
func (c Config) WithDefaults() Config {
	if c.Jitter == 0 {
		c.Jitter = defaultJitter
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	return c
}

// Validate returns all mistakes in the configuration.
func (c Config) Validate() error {
	var errs []error
	for i, t := range c.Tables {
		if t.Name == "" {
			errs = append(errs, fmt.Errorf("config: Tables[%d] has no Name", i))
		}
	}
	if c.MaxInterval < 0 {
		errs = append(errs, fmt.Errorf("config: MaxInterval %v is negative", c.MaxInterval))
	}
	if c.Jitter > 1 {
		errs = append(errs, fmt.Errorf("config: Jitter %v is above 1", c.Jitter))
	}
	if c.Timeout < 0 {
		errs = append(errs, fmt.Errorf("config: Timeout %v is negative", c.Timeout))
	}
	return errors.Join(errs...)
}
