// Package coretest has fakes for tests of programs, transports and plugins: an in-memory
// table with transactions, a source that reports on demand, and a sink that records what a
// source reports.
package coretest
