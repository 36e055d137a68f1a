// Package wrapdriver wraps a database/sql driver so that an observer is told of
// everything that may commit: when it begins, when it ends, and with which
// answer.
//
// The wrapper implements every optional interface of database/sql/driver. Where
// the driver lacks one, it does what database/sql does for such drivers.
package wrapdriver
