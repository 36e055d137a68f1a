package core

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Config configures a registry. The zero value of each field means its default. Start
// reports a negative value, unless the field's comment gives it a meaning.
type Config struct {
	// Logger receives messages for operators. The default is slog.Default().
	Logger *slog.Logger

	// LoadWait bounds how long Start waits for bindings to load. Bindings that take longer
	// go on loading in the background, and Start succeeds. The default is 10 seconds;
	// negative means not to wait.
	LoadWait time.Duration

	// WatchWait bounds how long Start waits for the sources to watch before the bindings
	// load. When a source begins later, its tables are read again. The default is 5
	// seconds; negative means not to wait.
	WatchWait time.Duration

	// ReadTimeout bounds one read of a table: one batch, or a whole table. A read that
	// takes longer has failed. The default is one minute.
	ReadTimeout time.Duration

	// AnnounceWait bounds how long a read waits for the keys of a commit under way before
	// it reads the whole table instead. The default is 100 milliseconds. When reading the
	// whole table takes long, the wait may be up to four times as long.
	AnnounceWait time.Duration

	// CatchUpWait bounds how long a read waits until a source that follows the database's
	// log has reported what the read can see. After that it reads the whole table instead.
	// The default is 2 seconds. When reading the whole table takes long, the wait may be up
	// to four times as long.
	CatchUpWait time.Duration

	// MaxBatchKeys bounds the keys gathered for one read of a table; when more are reported
	// the whole table is read. The default is 10,000.
	MaxBatchKeys int

	// MemoryBudget bounds the memory of all bindings of the registry, in estimated bytes:
	// rows, encodings, bodies, pages, logs, margins, and the keys that feeds have still to
	// read. Beyond it the registry drops bodies and ends unused members of families. When
	// that is not enough it refuses further members with [ErrBudget]. It never refuses
	// declared bindings. The default is a third of the memory that the process may use
	// (GOMEMLIMIT, its cgroup, the machine), or no bound when that is unknown; negative
	// means no bound.
	MemoryBudget int64

	// ReauthorizeEvery is the interval at which the authorizer is asked again about
	// subscribers. The default is one minute; negative means only when
	// [Registry.Reauthorize] is called.
	ReauthorizeEvery time.Duration

	// AuthorizeTimeout bounds one question to the authorizer. After that the client is told
	// to retry later (503). The default is 10 seconds.
	AuthorizeTimeout time.Duration

	// Now is the clock for versions and states. The default is time.Now.
	Now func() time.Time
}

// WithDefaults returns a copy with defaults in place of zero fields, except MemoryBudget,
// whose default is found when the registry is made.
func (c Config) WithDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	setDuration := func(d *time.Duration, fallback time.Duration) {
		if *d == 0 {
			*d = fallback
		}
	}
	setDuration(&c.LoadWait, 10*time.Second)
	setDuration(&c.WatchWait, 5*time.Second)
	setDuration(&c.ReadTimeout, time.Minute)
	setDuration(&c.AnnounceWait, 100*time.Millisecond)
	setDuration(&c.CatchUpWait, 2*time.Second)
	setDuration(&c.ReauthorizeEvery, time.Minute)
	setDuration(&c.AuthorizeTimeout, 10*time.Second)
	if c.MaxBatchKeys == 0 {
		c.MaxBatchKeys = 10_000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Validate returns all problems of the configuration, joined.
func (c Config) Validate() error {
	var errs []error
	if c.ReadTimeout < 0 {
		errs = append(errs, fmt.Errorf("config: ReadTimeout %v is negative", c.ReadTimeout))
	}
	if c.AnnounceWait < 0 {
		errs = append(errs, fmt.Errorf("config: AnnounceWait %v is negative", c.AnnounceWait))
	}
	if c.CatchUpWait < 0 {
		errs = append(errs, fmt.Errorf("config: CatchUpWait %v is negative", c.CatchUpWait))
	}
	if c.AuthorizeTimeout < 0 {
		errs = append(errs, fmt.Errorf("config: AuthorizeTimeout %v is negative", c.AuthorizeTimeout))
	}
	if c.MaxBatchKeys < 0 {
		errs = append(errs, fmt.Errorf("config: MaxBatchKeys %d is negative", c.MaxBatchKeys))
	}
	return errors.Join(errs...)
}

// NewRegistry returns an empty registry with this configuration.
func (c Config) NewRegistry() *Registry { return newRegistry(c) }

// NewRegistry returns an empty registry with the default configuration; use
// [Config.NewRegistry] for another.
func NewRegistry() *Registry { return newRegistry(Config{}) }
