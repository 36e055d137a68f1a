package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/binderyhq/bindery/core/status"
)

// statusCollector exports the registry's status, which it asks for once per scrape.
type statusCollector struct {
	status   func() status.Registry
	families []*family
	delivery *prometheus.Desc
}

// family is one metric: its series at a scrape. Values with equal labels are combined,
// because sources or transports may share a name, and members of a family have its
// name.
type family struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	put    func(a, b float64) float64
	values func(st status.Registry, set setter)
}

// setter sets the value of the series with these labels.
type setter func(value float64, labels ...string)

func sum(a, b float64) float64 { return a + b }

func newStatusCollector(of func() status.Registry) *statusCollector {
	c := &statusCollector{status: of, delivery: prometheus.NewDesc("bindery_delivery_delay_seconds",
		"Time from the first report of a change until it was written to a client's connection.", []string{"transport"}, nil)}
	c.bindings()
	c.tables()
	c.sources()
	c.origins()
	c.marks()
	c.transports()
	c.memory()
	return c
}

func (c *statusCollector) add(kind prometheus.ValueType, name, help string, labels []string, values func(status.Registry, setter)) *family {
	f := &family{desc: prometheus.NewDesc(name, help, labels, nil), kind: kind, put: sum, values: values}
	c.families = append(c.families, f)
	return f
}

// Describe implements [prometheus.Collector].
func (c *statusCollector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range c.families {
		to <- f.desc
	}
	to <- c.delivery
}

// Collect implements [prometheus.Collector]. It may be called concurrently.
func (c *statusCollector) Collect(to chan<- prometheus.Metric) {
	st := c.status()
	for _, f := range c.families {
		f.collect(st, to)
	}
	c.collectDelivery(st, to)
}

func (f *family) collect(st status.Registry, to chan<- prometheus.Metric) {
	type series struct {
		labels []string
		value  float64
	}
	var all []series
	at := map[string]int{}
	f.values(st, func(value float64, labels ...string) {
		key := ""
		for _, l := range labels {
			key += strconv.Quote(l)
		}
		if i, ok := at[key]; ok {
			all[i].value = f.put(all[i].value, value)
			return
		}
		at[key] = len(all)
		all = append(all, series{labels, value})
	})
	for _, s := range all {
		to <- prometheus.MustNewConstMetric(f.desc, f.kind, s.value, s.labels...)
	}
}

// collectDelivery exports the histograms that the transports keep.
func (c *statusCollector) collectDelivery(st status.Registry, to chan<- prometheus.Metric) {
	merged := map[string]status.Histogram{}
	for _, t := range st.Transports {
		h, ok := merged[t.Name]
		if !ok || len(h.Counts) != len(t.Delay.Counts) {
			h = status.Histogram{Bounds: t.Delay.Bounds, Counts: make([]uint64, len(t.Delay.Counts))}
		}
		h.Sum += t.Delay.Sum
		for i, n := range t.Delay.Counts {
			h.Counts[i] += n
		}
		merged[t.Name] = h
	}
	for name, h := range merged {
		buckets := make(map[float64]uint64, len(h.Bounds))
		n := uint64(0)
		for i, bound := range h.Bounds {
			n += h.Counts[i]
			buckets[bound.Seconds()] = n
		}
		to <- prometheus.MustNewConstHistogram(c.delivery, h.Count(), h.Sum.Seconds(), buckets, name)
	}
}
