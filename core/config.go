package core

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Config tunes a registry. The zero value of each field means its default.
type Config struct {
	// Logger receives what is worth an operator's attention. The default is
	// slog.Default().
	Logger *slog.Logger

	// LoadWait bounds how long Start waits for the first load of the
	// bindings. Bindings that are not loaded by then go on loading in the
	// background; Start succeeds. The default is 10 seconds; negative means
	// not to wait.
	LoadWait time.Duration

	// WatchWait bounds how long Start waits for the sources to watch before
	// the bindings load. A source that comes later has its tables read again.
	// The default is 5 seconds; negative means not to wait.
	WatchWait time.Duration

	// ReadTimeout bounds one read of a table: one batch, or a whole table. The
	// default is one minute. A read that takes longer counts as failed.
	ReadTimeout time.Duration

	// AnnounceWait bounds how long a read waits for the keys of a commit that
	// is under way, before it reads the whole table instead. The default is
	// 100 milliseconds; where reading the whole table takes long, up to four
	// times as long is waited.
	AnnounceWait time.Duration

	// CatchUpWait bounds how long a read waits for a source that follows the
	// database's log to report what the read can see, before it reads the whole
	// table instead. The default is 2 seconds; where reading the whole table
	// takes long, up to four times as long is waited.
	CatchUpWait time.Duration

	// MaxBatchKeys bounds the keys that are gathered for one read of a table;
	// when more are reported the whole table is read. The default is 10,000.
	MaxBatchKeys int

	// MemoryBudget bounds what all bindings of the registry keep in memory, in bytes,
	// as it estimates it: rows, encodings, bodies, pages, logs, margins, and what feeds
	// have still to read. Beyond it
	// bodies are dropped and members of families that nobody uses are ended; when
	// that is not enough further members are refused with [ErrBudget]. Bindings that
	// were declared are never refused. The default is a third of the memory that the
	// process may use (GOMEMLIMIT, its cgroup, the machine), and no bound where that
	// is not known; negative means no bound.
	MemoryBudget int64

	// ReauthorizeEvery is the time after which the authorizer is asked again
	// about those who have subscribed. The default is one minute; negative means
	// only when [Registry.Reauthorize] is called.
	ReauthorizeEvery time.Duration

	// AuthorizeTimeout bounds one question to the authorizer. A client whose
	// question is not answered in time is told to try again later (503). The
	// default is 10 seconds.
	AuthorizeTimeout time.Duration

	// Now is the clock of versions and states. The default is time.Now.
	Now func() time.Time
}

// WithDefaults returns a copy in which every zero field has its default.
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

// Validate returns everything that is wrong with the configuration.
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

// NewRegistry returns an empty registry with the default configuration; see
// [Config.NewRegistry] for another.
func NewRegistry() *Registry { return newRegistry(Config{}) }
