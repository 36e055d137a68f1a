package pgsource

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// BestConfig tunes a source made by [NewBest]. The zero value of each field means
// its default.
type BestConfig struct {
	// Database and Tables are those of [Config], for every way of watching; those of
	// Log and Triggers must be empty.
	Database string
	Tables   []driver.Table

	// Log tunes the source that follows the log, Triggers the one that reads the
	// outbox.
	Log      Config
	Triggers TriggerConfig

	// LookInterval is how often it is asked whether a better way has become
	// possible, while a lesser one is used. The default is one minute.
	LookInterval time.Duration

	// Logger is told which way was chosen and why, at the level INFO. The default is
	// slog.Default.
	Logger *slog.Logger
}

const defaultLookInterval = time.Minute

// WithDefaults returns a copy in which every zero field has its default.
func (c BestConfig) WithDefaults() BestConfig {
	setDuration(&c.LookInterval, defaultLookInterval)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Log, c.Triggers = c.Log.WithDefaults(), c.Triggers.WithDefaults()
	return c
}

// Validate returns everything that is wrong with the configuration.
func (c BestConfig) Validate() error {
	var errs []error
	if c.LookInterval < 0 {
		errs = append(errs, fmt.Errorf("config: LookInterval %v is negative", c.LookInterval))
	}
	if c.Log.Database != "" || c.Log.Tables != nil {
		errs = append(errs, errors.New("config: Log names its own Database or Tables: name them in BestConfig"))
	}
	if c.Triggers.Database != "" || c.Triggers.Tables != nil {
		errs = append(errs, errors.New("config: Triggers names its own Database or Tables: name them in BestConfig"))
	}
	log, triggers := c.Log, c.Triggers
	log.Tables, triggers.Tables = c.Tables, nil
	return errors.Join(append(errs, log.Validate(), triggers.Validate())...)
}
