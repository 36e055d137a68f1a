// Package metrics exports the state of a registry to Prometheus, in the text format, or as
// OpenMetrics if the scraper asks for it.
//
//	reg.Use(metrics.New(e.Group("/metrics")))
//
// The names are in docs/metrics.md. dashboard.json (for Grafana) and alerts.yml
// (for Prometheus) lie beside this file.
//
// # Cost
//
// The registry and the transports keep most counters anyway, and a scrape only reads
// them. Reads and versions are counted as they happen, with a few atomic additions.
// Nothing runs between scrapes.
//
// # Labels
//
// The number of series depends only on the program's declarations: bindings by name,
// tables, sources, transports, and the statuses of HTTP. The members of a family, and the
// scopes of an authorizer, are summed up under the binding's name. Nothing that a client
// sends becomes a label.
//
// # Access
//
// Everybody who can reach the path sees the names and sizes of tables and bindings. Put a
// guard on the group, or use a group of an echo.Echo that listens on an internal address.
package metrics
