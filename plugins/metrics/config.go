package metrics

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Config tunes the plugin. The zero value of each field means its default.
type Config struct {
	// ReadBuckets are the upper bounds of the buckets of bindery_feed_read_seconds,
	// in seconds, rising. The default reaches from 0.5 ms to 30 s.
	ReadBuckets []float64

	// PublishBuckets are those of bindery_publish_delay_seconds. The default is
	// that of ReadBuckets.
	PublishBuckets []float64

	// OmitProcess leaves out the metrics of Go's runtime and of the process, whose
	// names begin with go_ and process_. Set it if the program exports them elsewhere.
	OmitProcess bool

	// Collectors are the program's own metrics, to be exported beside these.
	Collectors []prometheus.Collector

	// MaxScrapes bounds the scrapes that are answered at a time; further ones get 503.
	// The default is 4.
	MaxScrapes int
}

// WithDefaults returns a copy in which every zero field has its default.
func (c Config) WithDefaults() Config {
	if c.ReadBuckets == nil {
		c.ReadBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	}
	if c.PublishBuckets == nil {
		c.PublishBuckets = c.ReadBuckets
	}
	if c.MaxScrapes == 0 {
		c.MaxScrapes = 4
	}
	return c
}

// Validate returns every error in the configuration.
func (c Config) Validate() error {
	var errs []error
	for name, buckets := range map[string][]float64{"ReadBuckets": c.ReadBuckets, "PublishBuckets": c.PublishBuckets} {
		for i := 1; i < len(buckets); i++ {
			if !(buckets[i] > buckets[i-1]) {
				errs = append(errs, fmt.Errorf("config: %s do not rise at %v", name, buckets[i]))
			}
		}
	}
	if c.MaxScrapes < 0 {
		errs = append(errs, fmt.Errorf("config: MaxScrapes %d is negative", c.MaxScrapes))
	}
	return errors.Join(errs...)
}
