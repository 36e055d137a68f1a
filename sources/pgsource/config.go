package pgsource

import (
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// Config tunes a source. The zero value of each field means its default.
type Config struct {
	// Database is the name of the database, as core.Table.Database spells it.
	// The default, "", is the usual one of programs with a single database.
	Database string

	// Tables are the tables to watch; the default is every bound table of the
	// database. A Schema left empty matches any, a Database left empty is
	// that of the field above. A registry in which one of them is not bound
	// does not start.
	Tables []driver.Table

	// Publication is the name of the publication to read, "bindery" by
	// default. Where it does not exist it is created, and where it lacks a
	// bound table that is added, as far as the role may; where it may not, the
	// source is lost and says which statement its owner is to run. Tables are
	// never taken out of it, nor is it dropped: other programs may read it too.
	Publication string
	// FixedPublication forbids the source to create or change the publication.
	FixedPublication bool

	// MaxKeys bounds the keys that are remembered of each table before they are
	// reported, in one transaction and in all those that are not visible
	// yet; beyond it the whole table is reported. The default is 10,000.
	MaxKeys int

	// ReceiveTimeout bounds the silence of the server, which is asked for a
	// sign of life three times as often. After it the connection counts as
	// lost. The default is 30 seconds.
	ReceiveTimeout time.Duration

	// StartTimeout bounds how long it may take until changes stream: the server
	// first waits for the end of all transactions that were writing when
	// it was asked. The default is one minute.
	StartTimeout time.Duration

	// AuditInterval is how often it is checked that the watched tables are
	// still published. The default is 30 seconds.
	AuditInterval time.Duration

	// SchemaInterval is how often it is checked whether a watched table was altered,
	// or another one has taken its place, of which the log does not tell. It takes one
	// small query. The default is one second.
	SchemaInterval time.Duration
}

const (
	defaultPublication    = "bindery"
	defaultMaxKeys        = 10_000
	defaultReceiveTimeout = 30 * time.Second
	defaultStartTimeout   = time.Minute
	defaultAuditInterval  = 30 * time.Second
	defaultSchemaInterval = time.Second
)

// WithDefaults returns a copy in which every zero field has its default.
func (c Config) WithDefaults() Config {
	if c.Publication == "" {
		c.Publication = defaultPublication
	}
	if c.MaxKeys == 0 {
		c.MaxKeys = defaultMaxKeys
	}
	setDuration(&c.ReceiveTimeout, defaultReceiveTimeout)
	setDuration(&c.StartTimeout, defaultStartTimeout)
	setDuration(&c.AuditInterval, defaultAuditInterval)
	setDuration(&c.SchemaInterval, defaultSchemaInterval)
	return c
}

func setDuration(d *time.Duration, def time.Duration) {
	if *d == 0 {
		*d = def
	}
}

// Validate returns everything that is wrong with the configuration.
func (c Config) Validate() error {
	errs := []error{checkNamed(c.Tables)}
	if c.MaxKeys < 0 {
		errs = append(errs, fmt.Errorf("config: MaxKeys %d is negative", c.MaxKeys))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"ReceiveTimeout", c.ReceiveTimeout}, {"StartTimeout", c.StartTimeout}, {"AuditInterval", c.AuditInterval}, {"SchemaInterval", c.SchemaInterval}} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("config: %s %v is negative", d.name, d.value))
		}
	}
	return errors.Join(errs...)
}

// checkNamed finds tables without a name.
func checkNamed(tables []driver.Table) error {
	var errs []error
	for i, t := range tables {
		if t.Name == "" {
			errs = append(errs, fmt.Errorf("config: Tables[%d] has no Name", i))
		}
	}
	return errors.Join(errs...)
}
