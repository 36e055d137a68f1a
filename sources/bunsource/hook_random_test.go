package bunsource

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"pgregory.net/rapid"
)

// randomWriter runs random statements on a few connections, some of which
// have a transaction open.
type randomWriter struct {
	t     *rapid.T
	h     *hookDB
	conns []*randomConn
	alone bool // the database lets one transaction write at a time
}

// randomConn is a connection, with the transaction that is open on it.
type randomConn struct {
	id     int64 // the rows of this connection are those with key % 2 == id
	tx     *bun.Tx
	conn   *bun.Conn // of a transaction that was begun as text
	ctx    context.Context
	points []string
}

func (c *randomConn) open() bool { return c.tx != nil || c.conn != nil }

// on returns where the statements of the connection run, and with which
// context: that of the transaction, or another.
func (w *randomWriter) on(c *randomConn) (bun.IDB, context.Context) {
	ctx := context.Background()
	switch {
	case c.tx != nil:
		if rapid.Bool().Draw(w.t, "own context") {
			ctx = c.ctx
		}
		return c.tx, ctx
	case c.conn != nil:
		return c.conn, ctx
	default:
		return w.h.db, ctx
	}
}

func (w *randomWriter) pick() *randomConn {
	c := rapid.SampledFrom(w.conns).Draw(w.t, "connection")
	if w.alone {
		for _, other := range w.conns {
			if other.open() {
				return other
			}
		}
	}
	return c
}

// key draws a key of the connection's rows, whether there is such a row or
// not. It is never 0, for which Bun would have the database make one.
func (w *randomWriter) key(c *randomConn) int64 {
	return rapid.Int64Range(1, 8).Draw(w.t, "key")*2 + c.id
}

// condition draws a condition, which is anything but careful.
func (w *randomWriter) condition(c *randomConn, depth int) string {
	if depth > 0 {
		left, right := w.condition(c, depth-1), w.condition(c, depth-1)
		format := rapid.SampledFrom([]string{
			"(%s) AND (%s)", "%s AND %s", "(%s) OR (%s)", "%s OR %s", "NOT (%s) AND %s", "(%s) = (%s)",
			"CASE WHEN %s THEN %s ELSE 1 = 0 END",
		}).Draw(w.t, "operator")
		return fmt.Sprintf(format, left, right)
	}
	a, b := w.key(c), w.key(c)
	return rapid.SampledFrom([]string{
		fmt.Sprintf("id = %d", a),
		fmt.Sprintf(`"items"."id" = %d`, a),
		fmt.Sprintf("id IN (%d, %d)", a, b),
		fmt.Sprintf("id BETWEEN %d AND %d", a, b),
		fmt.Sprintf("id NOT IN (%d)", a),
		fmt.Sprintf("(id) IN (%d, %d)", a, b),
		fmt.Sprintf("id = -%d /* x */", a),
		fmt.Sprintf("id = %d + 0", a),
		fmt.Sprintf("price < %d", a*5),
		"name LIKE 'item%'",
		fmt.Sprintf("EXISTS (SELECT 1 FROM \"Pairs\" WHERE a = id AND id = %d)", a),
	}).Draw(w.t, "condition")
}

// write runs a random statement. Errors are part of the game: a transaction
// that Postgres has aborted refuses everything.
func (w *randomWriter) write(c *randomConn) {
	db, ctx := w.on(c)
	price := rapid.Int64Range(0, 100).Draw(w.t, "price")
	mine := fmt.Sprintf(`"items"."id" %% 2 = %d`, c.id)
	where := "(" + w.condition(c, rapid.IntRange(0, 2).Draw(w.t, "depth")) + ") AND " + mine
	if rapid.Bool().Draw(w.t, "mine first") {
		where = mine + " AND (" + w.condition(c, rapid.IntRange(0, 2).Draw(w.t, "depth")) + ")"
	}
	switch rapid.IntRange(0, 10).Draw(w.t, "write") {
	case 0:
		_, _ = db.NewUpdate().Model(&hookItem{ID: w.key(c)}).Set("price = ?", price).WherePK().Exec(ctx)
	case 1:
		_, _ = db.NewInsert().Model(&hookItem{ID: w.key(c), Name: "n", Price: price}).
			On("CONFLICT (id) DO UPDATE").Set("price = EXCLUDED.price").Exec(ctx)
	case 2:
		_, _ = db.NewDelete().Model(&hookItem{ID: w.key(c)}).WherePK().Exec(ctx)
	case 3:
		_, _ = db.NewUpdate().Model(&[]hookItem{{ID: w.key(c), Name: "b"}, {ID: w.key(c), Name: "c"}}).Column("name").Bulk().Exec(ctx)
	case 4:
		_, _ = db.ExecContext(ctx, "UPDATE items SET price = ? WHERE "+where, price)
	case 5:
		_, _ = db.ExecContext(ctx, "DELETE FROM items WHERE "+where)
	case 6:
		_, _ = db.ExecContext(ctx, "UPDATE items SET id = id + 100 WHERE "+where)
	case 7:
		_, _ = db.ExecContext(ctx, "UPDATE items SET id = ? WHERE id = ?", w.key(c), w.key(c))
	case 8: // the rows of RETURNING, read to their end or not
		var rows *sql.Rows
		rows, err := db.QueryContext(ctx, "UPDATE items SET price = ? WHERE "+where+" RETURNING name, id", price)
		if err != nil {
			return
		}
		for rows.Next() && rapid.Bool().Draw(w.t, "more") {
		}
		_ = rows.Close()
	case 9:
		_, _ = db.NewInsert().Model(&[]hookPair{{A: w.key(c), B: "r", N: price}, {A: w.key(c), B: "s", N: price}}).Exec(ctx)
	case 10:
		_, _ = db.ExecContext(ctx, fmt.Sprintf(`UPDATE items SET price = %d WHERE id = %d; DELETE FROM "Pairs" WHERE a = %d`, price, w.key(c), w.key(c)))
	}
}

func (w *randomWriter) begin(c *randomConn) {
	if c.open() {
		return
	}
	switch {
	case rapid.Bool().Draw(w.t, "as text"):
		conn, err := w.h.db.Conn(context.Background())
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := conn.ExecContext(context.Background(), "BEGIN"); err != nil {
			w.t.Fatal(err)
		}
		c.conn = &conn
	default:
		tx, err := w.h.db.BeginTx(context.Background(), nil)
		if err != nil {
			w.t.Fatal(err)
		}
		// What RunInTx gives its function is the context that Bun's hooks have
		// seen; a nested transaction is where one gets at it.
		c.tx, c.ctx = &tx, context.Background()
		_ = tx.RunInTx(context.Background(), nil, func(ctx context.Context, _ bun.Tx) error {
			c.ctx = ctx
			return nil
		})
	}
}

func (w *randomWriter) end(c *randomConn, commit bool) {
	verb := map[bool]string{true: "COMMIT", false: "ROLLBACK"}[commit]
	switch {
	case c.tx != nil && commit:
		_ = c.tx.Commit()
	case c.tx != nil:
		_ = c.tx.Rollback()
	case c.conn != nil:
		if _, err := c.conn.ExecContext(context.Background(), verb); err != nil {
			_, _ = c.conn.ExecContext(context.Background(), "ROLLBACK")
		}
		_ = c.conn.Close()
	}
	c.tx, c.conn, c.points = nil, nil, nil
}

func (w *randomWriter) savepoint(c *randomConn) {
	if !c.open() {
		return
	}
	db, ctx := w.on(c)
	if len(c.points) > 0 && rapid.Bool().Draw(w.t, "back") {
		name := c.points[len(c.points)-1]
		verb := rapid.SampledFrom([]string{"ROLLBACK TO ", "RELEASE "}).Draw(w.t, "verb")
		if _, err := db.ExecContext(ctx, verb+name); err == nil && strings.HasPrefix(verb, "REL") {
			c.points = c.points[:len(c.points)-1]
		}
		return
	}
	name := fmt.Sprintf("p%d", len(c.points))
	if _, err := db.ExecContext(ctx, "SAVEPOINT "+name); err == nil {
		c.points = append(c.points, name)
	}
}

// Whatever is written, in whatever transactions, is reported when it can be
// seen.
func TestRandomWritesAreReported(t *testing.T) {
	t.Parallel()
	eachHookDB(t, func(t *testing.T, h *hookDB) {
		rapid.Check(t, func(rt *rapid.T) {
			h.fill(t)
			w := &randomWriter{t: rt, h: h, alone: h.db.Dialect().Name() == dialect.SQLite, conns: []*randomConn{{id: 0}, {id: 1}}}
			before := h.read()
			h.sink.take()
			defer func() {
				for _, c := range w.conns {
					w.end(c, false)
				}
			}()
			for range rapid.IntRange(1, 12).Draw(rt, "steps") {
				c := w.pick()
				switch rapid.IntRange(0, 9).Draw(rt, "step") {
				case 0, 1:
					w.begin(c)
				case 2:
					w.end(c, true)
				case 3:
					w.end(c, false)
				case 4:
					w.savepoint(c)
				default:
					w.write(c)
				}
			}
			for _, c := range w.conns {
				w.end(c, rapid.Bool().Draw(rt, "commit"))
			}
			var reports []fakeReport
			missing := func() []string {
				reports = append(reports, h.sink.take()...)
				return unreported(before, h.read(), reports)
			}
			if !h.wrapped { // which does not see where rows are closed
				waitFor(t, "reports", func() bool { return len(missing()) == 0 })
			}
			if m := missing(); len(m) > 0 {
				rt.Errorf("changed, and not reported when it could be seen:\n\t%s\nreported:\n\t%v", strings.Join(m, "\n\t"), changesOf(reports))
			}
			if n := h.sink.announced(); n > 0 {
				rt.Errorf("%d announcements are still open", n)
			}
		})
	})
}
