// Package replication keeps the rows of a binding that another node publishes here. It calls
// a [Source], again after failures, restarts it when somebody asks for all rows or waits for
// a mark, and tracks whether the rows are current.
package replication
