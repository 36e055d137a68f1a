// Package live holds the readable side of a binding: a [View] with its current [Snapshot]
// of encoded [Row] values, the [Event] that led to it, and the [Subscription] that follows
// it from version to version. Transports and plugins read it.
//
// Reading a snapshot takes no lock and never waits, since snapshots are immutable. One
// [Publisher] writes to a View, through an [Edit]. A registry's engine publishes its
// bindings; a program whose rows come from elsewhere, such as another node, makes a View
// and its Publisher with [New].
package live
