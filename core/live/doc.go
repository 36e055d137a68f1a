// Package live has what a binding serves: a [View] with its current [Snapshot]
// of encoded [Row] values, the [Event] that led to it, and the [Subscription]
// that follows it from version to version. Transports and plugins read it.
//
// Readers take no lock and wait for nobody: what they hold is immutable. One
// [Publisher] writes to a View, through an [Edit]. Bindings of a registry are
// published by its engine; a program that gets rows from elsewhere, such as
// another node, makes a View and its Publisher with [New].
package live
