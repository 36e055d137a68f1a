package warmstart

import (
	"errors"
	"fmt"
	"time"
)

// Config tunes the plugin. The zero value of each field means its default.
type Config struct {
	// Quiet is how long a binding must have been unchanged before its snapshot is
	// written. The default is 5 seconds.
	Quiet time.Duration

	// MaxDelay bounds how long a binding that keeps changing goes without a snapshot.
	// The default is 5 minutes.
	MaxDelay time.Duration

	// MinInterval is the shortest time between two snapshots of one binding. If writing
	// takes long, it is at least fifty times as long as the write took. The default is
	// 30 seconds.
	MinInterval time.Duration

	// MaxBytes bounds all snapshots together, in bytes. If a binding does not fit, its
	// old snapshot is removed and none is written. The default is 1 GiB.
	MaxBytes int64
}

// WithDefaults returns a copy in which every zero field has its default.
func (c Config) WithDefaults() Config {
	set := func(d *time.Duration, fallback time.Duration) {
		if *d == 0 {
			*d = fallback
		}
	}
	set(&c.Quiet, 5*time.Second)
	set(&c.MaxDelay, 5*time.Minute)
	set(&c.MinInterval, 30*time.Second)
	if c.MaxBytes == 0 {
		c.MaxBytes = 1 << 30
	}
	return c
}

// Validate returns every error in the configuration.
func (c Config) Validate() error {
	var errs []error
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"Quiet", c.Quiet}, {"MaxDelay", c.MaxDelay}, {"MinInterval", c.MinInterval}} {
		if d.d < 0 {
			errs = append(errs, fmt.Errorf("%s %v is negative", d.name, d.d))
		}
	}
	if c.MaxBytes < 0 {
		errs = append(errs, fmt.Errorf("MaxBytes %d is negative", c.MaxBytes))
	}
	return errors.Join(errs...)
}
