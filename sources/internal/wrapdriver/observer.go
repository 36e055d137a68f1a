package wrapdriver

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
)

// Observer watches the connections of a wrapped connector.
type Observer interface {
	// Open returns the session of a connection that the driver has just made.
	// conn is the wrapper of it, and inner the driver's own. After an error the
	// connection is closed, and the error returned to whoever asked for it.
	// It may be called from any goroutine.
	Open(ctx context.Context, conn *Conn, inner sqldriver.Conn) (Session, error)
}

// Session observes one connection. database/sql uses a connection from one
// goroutine at a time, and so are its session and everything that the session
// returns.
type Session interface {
	// Statement is called with each text before the driver runs it, or prepares
	// it. It returns nil for a text of which the session wants to know nothing.
	Statement(ctx context.Context, text string, prepared bool) Statement
	// Begin is called when the driver has begun a transaction. It returns nil
	// when the session wants to know nothing of it.
	Begin(ctx context.Context) Tx
	// Acquired is called when the connection comes from the pool.
	Acquired(ctx context.Context)
	// Released is called when the connection goes back to the pool.
	Released()
	// Bypassed is called after somebody has had the driver's own connection in
	// hand: when the connection is used again or given back.
	Bypassed()
	// Closed is called when the connection has been closed.
	Closed()
}

// Statement is a text that runs once, or as often as it was prepared for.
type Statement interface {
	// Start is called before the text runs. It returns nil when the session wants
	// to know nothing of this run.
	Start(ctx context.Context, args []sqldriver.NamedValue) Call
	// Close is called when the text will not run again.
	Close()
}

// Call is one run of a statement. Done ends it.
type Call interface {
	// Rows is called when the statement has returned rows. It reports whether the
	// call lasts until they are closed; otherwise Done is called at once.
	Rows() bool
	// Next is called after each step through the rows, with the row read or with
	// the error, which is io.EOF at the end.
	Next(columns func() []string, row []sqldriver.Value, err error)
	// NextResult is called before the next result of the statement is read.
	NextResult()
	// Done is called when the statement has returned, or its rows are closed. The
	// error is [ErrUnseen] when the driver has panicked; after an error for which
	// [Skipped] is true the statement was not run.
	Done(res sqldriver.Result, err error)
}

// Tx is a transaction begun by [sql.DB.BeginTx] and the like.
type Tx interface {
	// Committing is called before the driver commits.
	Committing()
	// Committed is called with the outcome, which is [ErrUnseen] when the driver
	// has panicked.
	Committed(err error)
	// RolledBack is called when the driver has rolled back.
	RolledBack(err error)
}

// ErrUnseen stands for an outcome that nobody has seen: the driver panicked, or
// the connection was closed over a statement.
var ErrUnseen = errors.New("the outcome is not known")

// Skipped reports whether the error says that the statement was not run.
func Skipped(err error) bool {
	return errors.Is(err, sqldriver.ErrSkip) || errors.Is(err, sqldriver.ErrBadConn)
}
