// Package serving has the common part of all transports with long-lived connections
// below an Echo group: it checks the arguments of their constructors, and admits,
// drains and ends their connections.
package serving
