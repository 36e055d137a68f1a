// Package coretest holds fakes to test programs, transports and plugins with:
// a table in memory whose commits are seen, a source that reports what it is
// told to, and a sink that records what a source reports.
package coretest
