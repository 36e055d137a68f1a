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
	// Database is the name of the database, as core.Table.Database spells it.
	// The default, "", is the usual one of programs with a single database.
	Database string

	// Tables are the tables to watch; the default is every bound table of the
	// database. A Schema left empty matches any, a Database left empty is
	// that of the field above. A registry in which one of them is not bound
	// does not start.
	Tables []driver.Table

	// Outbox is the schema that the outbox was installed in, as Outbox.Schema
	// says. The default is "bindery".
	Outbox string

	// MaxKeys bounds the keys of each table that are reported at once; beyond it
	// the whole table is. The default is 10,000.
	MaxKeys int

	// PollInterval is how often the outbox is read though nobody has notified.
	// It is how late a change is found whose notification was lost, or whose
	// triggers are silent. The default is one second.
	PollInterval time.Duration

	// AnswerTimeout bounds each question to the server, and how long a
	// connection may have been silent before it is tried. The default is 30
	// seconds.
	AnswerTimeout time.Duration

	// AuditInterval is how often it is checked that the triggers are in place,
	// and how often old records are deleted. The default is 30 seconds.
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

// Validate returns everything that is wrong with the configuration.
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
