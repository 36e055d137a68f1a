// Package sqltext says what SQL text writes.
//
// It reads a fixed grammar for SQLite, Postgres and MySQL, and answers only
// for what it has read from the first token of a statement to its last. Text
// outside the grammar gets the wide answer: a change of a statement that it
// knows in part writes "anything in this table", and any other text writes
// "anything in any table". So a wrong guess costs a read and never hides a
// change.
//
// The package knows nothing of bindings, Bun or connections.
package sqltext
