package metrics

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/binderyhq/bindery/core"
)

// module is the path of Bindery's module.
const module = "github.com/binderyhq/bindery"

// programCollector exports what concerns the program as a whole.
type programCollector struct {
	ready                          func() core.Readiness
	build, readyDesc, drainingDesc *prometheus.Desc
	labels                         []string // values of the labels of build
}

func newProgramCollector(ready func() core.Readiness) *programCollector {
	version, revision := versions(debug.ReadBuildInfo())
	return &programCollector{
		ready:        ready,
		build:        prometheus.NewDesc("bindery_build_info", "Always 1: the version of Bindery, the program's revision in version control, and the version of Go.", []string{"version", "revision", "go"}, nil),
		readyDesc:    prometheus.NewDesc("bindery_ready", "1 while every binding has loaded and the program does not end, else 0.", nil, nil),
		drainingDesc: prometheus.NewDesc("bindery_draining", "1 from the beginning of a drain on, else 0.", nil, nil),
		labels:       []string{version, revision, runtime.Version()},
	}
}

// versions returns the version of Bindery and the program's revision, "" for unknown ones.
func versions(info *debug.BuildInfo, ok bool) (version, revision string) {
	if !ok {
		return "", ""
	}
	for _, dep := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if dep.Path == module {
			version = dep.Version
			if dep.Replace != nil {
				version = dep.Replace.Version
			}
		}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return version, revision
}

// Describe implements [prometheus.Collector].
func (c *programCollector) Describe(to chan<- *prometheus.Desc) {
	to <- c.build
	to <- c.readyDesc
	to <- c.drainingDesc
}

// Collect implements [prometheus.Collector].
func (c *programCollector) Collect(to chan<- prometheus.Metric) {
	ready := c.ready()
	to <- prometheus.MustNewConstMetric(c.build, gauge, 1, c.labels...)
	to <- prometheus.MustNewConstMetric(c.readyDesc, gauge, number(ready.Ready))
	to <- prometheus.MustNewConstMetric(c.drainingDesc, gauge, number(ready.Draining))
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
