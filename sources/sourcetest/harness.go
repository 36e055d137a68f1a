package sourcetest

import (
	"context"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// NewHarness makes a harness for one case.
type NewHarness func() (Harness, error)

// InitialRows is how many rows a new harness's first table holds, with the IDs
// 1 to InitialRows and the value 0.
const InitialRows = 5

// Harness is a source and the table that it watches. Its methods may be called
// concurrently, also from within the calls of the sink that the source makes.
//
// Rows have an ID, from which the harness makes their key, and a value. The
// suite does not look into keys or rows: it compares what Read returns.
//
// A harness also implements [Transactor], [Bulker], [Outsider], [Breaker] and
// [driver.Snapshotter] if they apply to its source.
type Harness interface {
	// Source returns the source under test, the same one each time. It is
	// not being watched yet.
	Source() driver.Source
	// Schemas returns the tables to bind. The first one is written to.
	Schemas() []driver.Schema
	// Abilities declares what the source can do.
	Abilities() Abilities
	// Write makes all the writes in one commit, in a way that the source watches,
	// and returns after the commit.
	Write(ctx context.Context, writes ...Write) error
	// Read reads all tables as a new reader would, not on a connection that a
	// write holds.
	Read(ctx context.Context) (Rows, error)
	// Close releases everything. It is called once, after Watch has returned.
	Close() error
}

// Rows are the rows of all tables, by key. A row may be in any form, as long as
// equal rows have equal forms and others do not.
type Rows map[driver.Table]map[driver.Key]string

// Kind is a kind of [Write].
type Kind uint8

// The kinds of writes.
const (
	Insert Kind = iota + 1
	Update
	Delete
	Rekey // the row gets another key; only for sources with KeyChanges
)

// String returns the kind's name.
func (k Kind) String() string {
	return [...]string{"no write", "insert", "update", "delete", "rekey"}[k]
}

// Write is a write of one row.
type Write struct {
	Kind  Kind
	ID    int
	Value int // of inserts and updates
	To    int // the new ID, of a rekey
}

// Abilities declares a source's optional abilities. The zero value declares none.
type Abilities struct {
	// Within bounds the time in which the source reports a change, begins to
	// watch, stops, or notices a broken link. The suite fails after it, so allow a
	// wide margin. Zero means 10 seconds.
	Within time.Duration

	// Keys says that writes of single rows are reported by key; a comparison of
	// the table (driver.Change.Compare) may come beside them. Without it the
	// source reports whole tables.
	Keys bool
	// KeyChanges says that rows can change their keys, and that the source reports
	// the old and the new key.
	KeyChanges bool
	// Bulk says that the source sees statements that change many rows. It needs a
	// [Bulker].
	Bulk bool
	// OtherProcesses says that the source sees writes of others. It needs an
	// [Outsider].
	OtherProcesses bool
	// WholeTransactions says that a commit of several rows is announced before
	// it is visible. Sources that implement [driver.Follower] need not: they
	// promise whole transactions in another way.
	WholeTransactions bool
}

func (a Abilities) within() time.Duration {
	if a.Within <= 0 {
		return 10 * time.Second
	}
	return a.Within
}

// Transactor is implemented by harnesses whose source watches transactions.
type Transactor interface {
	// Begin begins a transaction. The context bounds all of it.
	Begin(ctx context.Context) (Tx, error)
}

// Tx is a transaction. Exactly one of Commit and Rollback is called, once.
type Tx interface {
	Write(ctx context.Context, writes ...Write) error
	Commit() error
	Rollback() error
}

// Bulker is implemented by harnesses that can write many rows at once without
// naming them.
type Bulker interface {
	// Bulk adds delta to the values of all rows, by one statement.
	Bulk(ctx context.Context, delta int) error
}

// Outsider is implemented by harnesses that can write as another process does, or
// past the connections that the source watches.
type Outsider interface {
	WriteOutside(ctx context.Context, writes ...Write) error
}

// Breaker is implemented by harnesses of sources that have a link to lose.
// While it is broken, Read and Write work nevertheless.
type Breaker interface {
	// Break cuts the link and returns when it is cut.
	Break(ctx context.Context) error
	// Restore has the next attempt to connect succeed.
	Restore(ctx context.Context) error
}
