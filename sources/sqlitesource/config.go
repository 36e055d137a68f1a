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
	// Database is the name of the database, as [driver.Table].Database spells it.
	// The default, "", suits programs with a single database.
	Database string

	// Interval is how often the source checks whether others have written, beside
	// the file system's notifications. The default is [DefaultInterval]; negative
	// means never, for databases that nobody else writes.
	Interval time.Duration

	// Audit is for databases whose files do not tell whose a commit is: those in
	// memory, and all on Windows. It is how long the source waits, after a commit
	// that may be another process's, before it has every bound table compared. The
	// default is [DefaultAudit]; negative means for ever. It takes effect with the
	// resolution of Interval.
	Audit time.Duration

	// Async lets writes return without waiting for the affected bindings. By
	// default they wait, so that a program reads its own writes. A write
	// holds its connection while it waits, and the engine needs another one to
	// read. So with a pool of a single connection the first wait times out, and
	// later writes do not wait.
	Async bool

	// WaitTimeout bounds that wait, as the context of the write or its transaction
	// does. The write itself has succeeded by then: after the timeout it returns
	// without an error, and the source logs a warning. The default is
	// [DefaultWaitTimeout]; a negative value is an error.
	WaitTimeout time.Duration

	// Logger gets the warnings. nil means [slog.Default].
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

// Validate returns all mistakes in the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.WaitTimeout < 0 {
		errs = append(errs, fmt.Errorf("sqlitesource: config: WaitTimeout %v is negative", c.WaitTimeout))
	}
	return errors.Join(errs...)
}
