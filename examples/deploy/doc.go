// Package deploy holds the configurations that docs/operations.md and
// docs/scaling.md show: proxies, caches,
// a systemd unit, a container, Kubernetes, roles of Postgres. Its tests run them
// in front of, or beside, a server of Bindery's.
package deploy
