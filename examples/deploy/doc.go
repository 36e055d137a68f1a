// Package deploy holds the configurations that docs/operations.md shows: proxies,
// a systemd unit, a container, Kubernetes, roles of Postgres. Its tests run them
// in front of, or beside, a server of Bindery's.
package deploy
