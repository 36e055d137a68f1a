// Package commits follows what a program writes through Bun, up to the moment in
// which it is committed and visible, and brings it to the sinks: the session of a
// wrapped connection, and the records that it shares with Bun's query hook.
package commits
