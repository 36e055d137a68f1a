package sqlitesource

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Defaults of [Config].
const (
	DefaultInterval    = time.Second
	DefaultAudit       = 10 * time.Second
	DefaultWaitTimeout = 2 * time.Second
)

// Config tunes a source. The zero value of each field means its default.
type Config struct {
	// Database is the name of the database, as core.Table.Database spells it.
	// The default, "", is the usual one of programs with a single database.
	Database string

	// Interval is how often the source asks whether somebody else has
	// written, where the file system does not tell it at once. The default is
	// [DefaultInterval]; negative means never, for databases that nobody else
	// writes.
	Interval time.Duration

	// Audit is for databases whose files do not tell whose a commit is: those in
	// memory, and all on Windows. It is for how long a commit that may be somebody
	// else's, or just one of this process, is left at that before every bound table
	// is compared. The default is [DefaultAudit]; negative means for ever.
	// It takes effect with the resolution of Interval.
	Audit time.Duration

	// Async lets writes return without waiting for the bindings that they
	// concern. By default a program reads its own writes. A write
	// holds its connection while it waits, and the engine needs another one to
	// read. So with a pool of a single connection the first wait ends by the
	// timeout, and from then on there is none.
	Async bool

	// WaitTimeout bounds that wait; the context of the write, or of its
	// transaction, does as well. The write has been made in any case: when the
	// wait ends early it returns as if nothing were wrong, and a warning is
	// logged. The default is [DefaultWaitTimeout]; less than 0 is refused.
	WaitTimeout time.Duration

	// Logger takes the warnings. nil means [slog.Default].
	Logger *slog.Logger
}

// WithDefaults returns a copy in which every zero field has its default.
func (c Config) WithDefaults() Config {
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	if c.Audit == 0 {
		c.Audit = DefaultAudit
	}
	if c.WaitTimeout == 0 {
		c.WaitTimeout = DefaultWaitTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Validate returns everything that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.WaitTimeout < 0 {
		errs = append(errs, fmt.Errorf("sqlitesource: config: WaitTimeout %v is negative", c.WaitTimeout))
	}
	return errors.Join(errs...)
}
