package pgsource

import (
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// TriggerConfig tunes a source made by [NewTriggers]. The zero value of each
// field means its default.
type TriggerConfig struct {
	// Database is the name of the database, as [driver.Table].Database spells it.
	// The default, "", suits programs with a single database.
	Database string

	// Tables are the tables to watch; the default is every bound table of the
	// database. An empty Schema matches any, an empty Database means the field
	// above. The registry does not start if one of them is not bound.
	Tables []driver.Table

	// Outbox is the outbox's schema, see [Outbox].Schema. The default is "bindery".
	Outbox string

	// MaxKeys bounds the keys of each table in one report; beyond it the whole
	// table is reported. The default is 10,000.
	MaxKeys int

	// PollInterval is how often the source reads the outbox without a
	// notification. It bounds the delay of a change whose notification was lost,
	// or whose triggers are silent. The default is one second.
	PollInterval time.Duration

	// AnswerTimeout bounds each query. A listening connection that was silent for
	// this long is tested. The default is 30 seconds.
	AnswerTimeout time.Duration

	// AuditInterval is how often the source checks that the triggers are in place,
	// and deletes old records. The default is 30 seconds.
	AuditInterval time.Duration
}

const (
	defaultPollInterval  = time.Second
	defaultAnswerTimeout = 30 * time.Second
)

// WithDefaults returns a copy in which every zero field has its default.
func (c TriggerConfig) WithDefaults() TriggerConfig {
	if c.Outbox == "" {
		c.Outbox = defaultSchema
	}
	if c.MaxKeys == 0 {
		c.MaxKeys = defaultMaxKeys
	}
	setDuration(&c.PollInterval, defaultPollInterval)
	setDuration(&c.AnswerTimeout, defaultAnswerTimeout)
	setDuration(&c.AuditInterval, defaultAuditInterval)
	return c
}

// Validate returns all mistakes in the configuration.
func (c TriggerConfig) Validate() error {
	c = c.WithDefaults()
	errs := []error{checkNamed(c.Tables), checkOutboxSchema(c.Outbox)}
	if c.MaxKeys < 0 {
		errs = append(errs, fmt.Errorf("config: MaxKeys %d is negative", c.MaxKeys))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"PollInterval", c.PollInterval}, {"AnswerTimeout", c.AnswerTimeout}, {"AuditInterval", c.AuditInterval}} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("config: %s %v is negative", d.name, d.value))
		}
	}
	return errors.Join(errs...)
}
