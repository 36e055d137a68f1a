package pgsource

import (
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// Config tunes a source. The zero value of each field means its default.
type Config struct {
	// Database is the name of the database, as [driver.Table].Database spells it.
	// The default, "", suits programs with a single database.
	Database string

	// Tables are the tables to watch; the default is every bound table of the
	// database. An empty Schema matches any, an empty Database means the field
	// above. The registry does not start if one of them is not bound.
	Tables []driver.Table

	// Publication is the name of the publication to read, "bindery" by
	// default. The source creates it if it does not exist, and adds bound tables
	// that it lacks. If the role may not do so, the source is lost, and its error
	// names the statement that the owner must run. The source never removes tables
	// from it or drops it, because other programs may read it too.
	Publication string
	// FixedPublication keeps the source from creating or changing the publication.
	FixedPublication bool

	// MaxKeys bounds the unreported keys of each table, in one transaction and in
	// all transactions that are not visible yet. Beyond it the whole table is
	// reported. The default is 10,000.
	MaxKeys int

	// ReceiveTimeout is how long the server may be silent before the connection
	// counts as lost. The source pings it three times as often. The default is
	// 30 seconds.
	ReceiveTimeout time.Duration

	// StartTimeout bounds the wait until changes stream: the server first waits
	// until all transactions that are writing have ended. The default is one
	// minute.
	StartTimeout time.Duration

	// AuditInterval is how often the source checks that the watched tables are
	// still published. The default is 30 seconds.
	AuditInterval time.Duration

	// SchemaInterval is how often the source checks whether a watched table was
	// altered or replaced, which the log does not tell. Each check is one small query.
	// The default is one second.
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

// Validate returns all mistakes in the configuration.
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
