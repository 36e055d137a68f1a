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
	// Database and Tables are as in [Config], for all ways of watching. Leave them
	// empty in Log and Triggers.
	Database string
	Tables   []driver.Table

	// Log tunes the source that follows the log, Triggers the one that reads the
	// outbox.
	Log      Config
	Triggers TriggerConfig

	// LookInterval is how often the source checks whether a better way has become
	// possible, while it uses a lesser one. The default is one minute.
	LookInterval time.Duration

	// Logger gets each choice and its reason, at level INFO. The default is
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

// Validate returns all mistakes in the configuration.
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
