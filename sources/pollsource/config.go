package pollsource

import (
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// Config tunes a source. The zero value of each field means its default.
type Config struct {
	// Database is the name of the database, as core.Table.Database spells it.
	// The default, "", is the usual one of programs with a single database;
	// for a source without a [Check] and without Tables it means every
	// database.
	Database string

	// Tables are the tables to watch; the default is every bound table of the
	// database. A Schema left empty matches any, a Database left empty is
	// that of the field above. A registry in which one of them is not bound
	// does not start.
	Tables []driver.Table

	// MaxInterval lets the interval grow while nothing changes: it doubles
	// with each poll that finds nothing, up to this, and is back at its start
	// with the first change. The default is not to grow. It takes a check to
	// know that nothing changed: without one it is refused.
	MaxInterval time.Duration

	// FullPass bounds how long a table goes without being compared: at
	// the first poll after that time it is, whatever the check finds. It mends
	// what the check cannot see, within that time. [DataVersion] and [XMin] need
	// none while nothing is committed. The default is one minute for [XMin] and 10
	// minutes for the others; negative means never. Without a check
	// every poll is a full pass, and a time given here is refused.
	FullPass time.Duration

	// Jitter shortens each wait at random, by up to this fraction of it, so
	// that many processes do not ask at the same moment. It is between 0 and
	// 1; the default is 0.1, and negative means none.
	Jitter float64

	// Timeout bounds each look of a check: all statements that look at one
	// table, or at one database where the check looks at that. One that takes
	// longer counts as failed. The default is 30 seconds.
	Timeout time.Duration
}

const (
	defaultJitter  = 0.1
	defaultTimeout = 30 * time.Second
)

// WithDefaults returns a copy in which every zero field has its default, but
// for FullPass, whose default is the check's.
func (c Config) WithDefaults() Config {
	if c.Jitter == 0 {
		c.Jitter = defaultJitter
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	return c
}

// Validate returns everything that is wrong with the configuration.
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
