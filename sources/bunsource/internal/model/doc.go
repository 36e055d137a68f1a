// Package model describes a Bun model as the loader needs it: its table, columns,
// key and relations, how values are read from a row, and how the database spells
// them. [New] describes it by the Go type alone, [Model.Inspect] by what the database
// says about the table as well.
//
// A Model is immutable, and may be used by several goroutines.
package model
