package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

// observer counts what happens as it happens: how long reads and reports took, and
// what was published. Members of a family come and go, so their counters must
// outlive them.
type observer struct {
	read, delay     *prometheus.HistogramVec
	batches         *prometheus.CounterVec
	setAside        *prometheus.CounterVec
	versions, event *prometheus.CounterVec

	mu     sync.Mutex // guards what follows
	tokens map[*live.View]string
	prune  int // the length of tokens at which ended views are forgotten
}

// minPrune is the number of views from which on ended views are looked for.
const minPrune = 256

func newObserver(cfg Config) *observer {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{"table"})
	}
	return &observer{
		read:     histogram("bindery_feed_read_seconds", "Time that the statements of a batch took.", cfg.ReadBuckets),
		delay:    histogram("bindery_publish_delay_seconds", "Time from the first report of a batch until it was published.", cfg.PublishBuckets),
		batches:  counter("bindery_feed_batches_total", "Batches that were read, by outcome: published or failed.", "table", "outcome"),
		setAside: counter("bindery_feed_batch_set_aside_total", "Bindings that batches went on without, because they could not be read.", "table"),
		versions: counter("bindery_binding_version_changes_total", "New versions of a binding.", "binding"),
		event:    counter("bindery_events_total", "Rows in published events, by action: create, update or delete.", "binding", "action"),
		tokens:   map[*live.View]string{},
		prune:    minPrune,
	}
}

func (o *observer) parts() []prometheus.Collector {
	return []prometheus.Collector{o.read, o.delay, o.batches, o.setAside, o.versions, o.event}
}

// Describe implements [prometheus.Collector].
func (o *observer) Describe(to chan<- *prometheus.Desc) {
	for _, c := range o.parts() {
		c.Describe(to)
	}
}

// Collect implements [prometheus.Collector].
func (o *observer) Collect(to chan<- prometheus.Metric) {
	for _, c := range o.parts() {
		c.Collect(to)
	}
}

// batch counts a batch that has ended.
func (o *observer) batch(r core.BatchResult) {
	table := r.Table.String()
	outcome := "published"
	if r.Err != nil {
		outcome = "failed"
	}
	o.batches.WithLabelValues(table, outcome).Inc()
	o.setAside.WithLabelValues(table).Add(float64(r.SetAside))
	if r.Read > 0 {
		o.read.WithLabelValues(table).Observe(r.Read.Seconds())
	}
	// Series begin at zero with the first load, so that no rate misses the first
	// change.
	if delay := o.delay.WithLabelValues(table); r.Delay > 0 {
		delay.Observe(r.Delay.Seconds())
	}
}

// published counts a new version.
func (o *observer) published(v *live.View, e *live.Event) {
	if o.changed(v, e.Version.Token) {
		o.versions.WithLabelValues(v.Name()).Inc()
	}
	for _, part := range [...]struct {
		action string
		rows   int
	}{{"create", len(e.Created)}, {"update", len(e.Updated)}, {"delete", len(e.Deleted)}} {
		o.event.WithLabelValues(v.Name(), part.action).Add(float64(part.rows)) // zero, too: see batch
	}
}

// changed reports whether the token differs from the view's last one. A whole read, or
// Touch, may announce the version that the view already has.
func (o *observer) changed(v *live.View, token string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if before, ok := o.tokens[v]; ok && before == token {
		return false
	}
	o.tokens[v] = token
	if len(o.tokens) >= o.prune {
		for v := range o.tokens {
			select {
			case <-v.Done():
				delete(o.tokens, v)
			default:
			}
		}
		o.prune = max(minPrune, 2*len(o.tokens))
	}
	return true
}
