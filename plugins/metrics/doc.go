// Package metrics shows how a registry does to Prometheus: as the text format, or
// as OpenMetrics where the scraper asks for that.
//
//	reg.Use(metrics.New(e.Group("/metrics")))
//
// The names are in docs/metrics.md. dashboard.json (for Grafana) and alerts.yml
// (for Prometheus) lie beside this file.
//
// # Cost
//
// Counters that the registry and the transports keep anyway are read when a scraper
// comes; reads and versions are counted as they happen, with a few atomic
// additions. Nothing runs in between.
//
// # Labels
//
// The number of series is bounded by what the program declares: bindings by their
// names (those of the members of a family, and of an authorizer's scopes, are summed
// up), tables, sources, transports, and the statuses of HTTP. Nothing that a client
// sends is a label.
//
// # Who may see it
//
// Everybody who can reach the path sees the names and sizes of tables and bindings. Put a guard on the group, or give the plugin a group of an echo.Echo that
// listens on an internal address.
package metrics
