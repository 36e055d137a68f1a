package sqlitehooks

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/binderyhq/bindery/sources/internal/fanout"
	"github.com/binderyhq/bindery/sources/internal/sqlitefile"
	"github.com/binderyhq/bindery/sources/internal/wrapdriver"
)

// Host is what the sessions of one database have in common. Its fields are set
// before the first session is opened.
type Host struct {
	Hub *fanout.Hub
	// Logger returns where panics in hooks are logged.
	Logger func() *slog.Logger
	// Statement is asked about each text that is about to run, with its context.
	// It returns who takes what its commit should be waited for with, or false
	// when the text only reads and need not be observed. It is called once for
	// each run.
	Statement func(ctx context.Context, text string, conn *wrapdriver.Conn) (deliver func([]fanout.Awaited), observe bool)
	// Begin is the same for a transaction begun by the driver.
	Begin func(ctx context.Context, conn *wrapdriver.Conn) (deliver func([]fanout.Awaited), observe bool)

	// Committing counts the commits that were about to be made, Committed those
	// whose call has returned.
	Committing, Committed atomic.Uint64
	// Commits tells them from those of others.
	Commits sqlitefile.Ledger
}

// session observes one connection. Whatever may have committed ends with a call
// of its recorder's release.
type session struct {
	host *Host
	conn *wrapdriver.Conn
	rec  recorder
}

// Open returns the session of a connection. It reports false when the driver
// offers no hooks. Hooks that were registered before on the connection are
// replaced.
func (h *Host) Open(ctx context.Context, conn *wrapdriver.Conn, inner sqldriver.Conn) (wrapdriver.Session, bool) {
	hooks, ok := hooksOf(inner)
	queryer, queries := inner.(sqldriver.QueryerContext)
	if !ok || !queries {
		return nil, false
	}
	s := &session{host: h, conn: conn, rec: recorder{host: h, conn: queryer}}
	hooks.register(handlers{s.rec.preUpdate, s.rec.committing, s.rec.rolledBack})
	s.rec.begin(ctx)
	return s, true
}

// Statement implements [wrapdriver.Session].
func (s *session) Statement(_ context.Context, text string, _ bool) wrapdriver.Statement {
	return &statement{session: s, text: text, alone: single(text) || !opens.MatchString(text)}
}

// Begin implements [wrapdriver.Session].
func (s *session) Begin(ctx context.Context) wrapdriver.Tx {
	deliver, observe := s.host.Begin(ctx, s.conn)
	if !observe {
		return nil
	}
	return &transaction{session: s, ctx: ctx, deliver: deliver}
}

// Acquired implements [wrapdriver.Session].
func (s *session) Acquired(ctx context.Context) { s.rec.begin(ctx) }

// Released implements [wrapdriver.Session].
func (s *session) Released() { s.rec.end() }

// Bypassed implements [wrapdriver.Session].
func (s *session) Bypassed() {
	s.rec.layout = nil
	s.rec.reportAll()
}

// Closed implements [wrapdriver.Session].
func (s *session) Closed() { s.rec.closed() }

// statement is a text that runs once, or was prepared.
type statement struct {
	*session
	text  string
	alone bool // once it has committed, no transaction is open, for certain
}

// Start implements [wrapdriver.Statement].
func (s *statement) Start(ctx context.Context, _ []sqldriver.NamedValue) wrapdriver.Call {
	deliver, observe := s.host.Statement(ctx, s.text, s.conn)
	if !observe {
		return nil
	}
	if attaches(s.text) || !s.alone && defines.MatchString(s.text) {
		s.rec.layout = nil // it may end within a transaction, where the schema cannot be compared
	}
	return &call{statement: s, ctx: ctx, deliver: deliver}
}

// Close implements [wrapdriver.Statement]. A statement that was not read to its
// end commits when it is closed.
func (s *statement) Close() { s.rec.release(context.Background(), nil, false) }

// call is one run of a statement.
type call struct {
	*statement
	ctx     context.Context //nolint:containedctx // of the statement that runs
	deliver func([]fanout.Awaited)
}

// Rows implements [wrapdriver.Call]: a statement with RETURNING commits when its
// rows have been read to their end, or are closed.
func (c *call) Rows() bool {
	c.release(nil)
	return true
}

// Next implements [wrapdriver.Call].
func (c *call) Next(_ func() []string, _ []sqldriver.Value, err error) {
	if c.rec.commit == nil {
		return
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	c.release(err)
}

// NextResult implements [wrapdriver.Call].
func (c *call) NextResult() {}

// Done implements [wrapdriver.Call].
func (c *call) Done(_ sqldriver.Result, err error) { c.release(err) }

func (c *call) release(err error) {
	if waits := c.rec.release(c.ctx, err, err == nil && c.alone); len(waits) > 0 {
		c.deliver(waits)
	}
}

// transaction is one that the driver has begun.
type transaction struct {
	*session
	ctx     context.Context //nolint:containedctx // of the transaction, as database/sql defines it
	deliver func([]fanout.Awaited)
}

// Committing implements [wrapdriver.Tx]: SQLite's own hook announces.
func (t *transaction) Committing() {}

// Committed implements [wrapdriver.Tx].
func (t *transaction) Committed(err error) {
	if waits := t.rec.release(t.ctx, err, err == nil); len(waits) > 0 {
		t.deliver(waits)
	}
}

// RolledBack implements [wrapdriver.Tx].
func (t *transaction) RolledBack(err error) { t.rec.release(t.ctx, err, false) }

// opens matches texts that may begin a transaction, beside the one of a single statement.
var opens = regexp.MustCompile(`(?i)\b(BEGIN|SAVEPOINT)\b`)

// defines matches texts that may change the schema.
var defines = regexp.MustCompile(`(?i)\b(CREATE|ALTER|DROP)\b`)

// attaches reports whether a text may attach a database, or detach one.
func attaches(text string) bool {
	for rest := text; len(rest) >= len("attach"); {
		i := strings.IndexAny(rest, "tT")
		if i < 0 || i+len("tach") > len(rest) {
			return false
		}
		if strings.EqualFold(rest[i:i+len("tach")], "tach") {
			end := len(text) - len(rest) + i + len("tach")
			if start := end - len("attach"); start >= 0 && isWord(text, start, end) &&
				(strings.EqualFold(text[start:end], "attach") || strings.EqualFold(text[start:end], "detach")) {
				return true
			}
		}
		rest = rest[i+1:]
	}
	return false
}

// isWord reports whether no letter, digit or underscore is next to text[start:end].
func isWord(text string, start, end int) bool {
	inWord := func(b byte) bool {
		return b == '_' || b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z' || b >= 0x80
	}
	return (start == 0 || !inWord(text[start-1])) && (end == len(text) || !inWord(text[end]))
}

// single reports whether a text is a single statement, for certain.
func single(text string) bool {
	i := strings.IndexByte(text, ';')
	return i < 0 || strings.Trim(text[i:], "; \t\r\n") == ""
}
