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
// [Transactor], [Bulker], [Outsider], [Breaker] and [driver.Snapshotter] are what
// a harness adds where its source has to do with such things.
type Harness interface {
	// Source returns the source under test, the same one each time. It is
	// not being watched yet.
	Source() driver.Source
	// Schemas returns the tables to bind. The first one is written to.
	Schemas() []driver.Schema
	// Abilities declares what the source can do.
	Abilities() Abilities
	// Write makes all the writes in one commit, in the way the source watches,
	// and returns when it is made.
	Write(ctx context.Context, writes ...Write) error
	// Read reads all tables as anyone would who begins to read now: not on a
	// connection that a write holds.
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

// Abilities declares what a source can do. The zero value is what every
// source can.
type Abilities struct {
	// Within is how soon the source reports, and how soon it says that it is
	// watching, stops, or has found a broken link: with a wide margin, since
	// it is how long the suite waits before it calls that a failure. Zero
	// means 10 seconds.
	Within time.Duration

	// Keys says that writes of single rows are reported by key; a comparison of
	// the table (driver.Change.Compare) may come beside them. Without it the
	// source reports whole tables.
	Keys bool
	// KeyChanges says that rows can change their keys, and that both are
	// reported.
	KeyChanges bool
	// Bulk says that statements which change many rows are seen. It needs a
	// [Bulker].
	Bulk bool
	// OtherProcesses says that what others write is seen. It needs an
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

// Outsider is implemented by harnesses that can write as somebody else: another
// process, or whoever goes past what the source watches.
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
