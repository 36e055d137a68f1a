package sqlgen

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// Statement is one SELECT of a query, for some of its keys.
type Statement struct {
	Keys  *KeyBatch // nil: any key
	Where []Clause
	apply func(*bun.SelectQuery) *bun.SelectQuery // nil: none
	Order []string
	Limit int
	Bare  bool     // the key columns, no others and no related rows
	Expr  string   // this expression instead of columns
	Only  []string // these columns, and no related rows; nil: all
}

// Clause is SQL with Bun's placeholders.
type Clause struct {
	Query string
	Args  []any
}

// Statements returns the SELECTs that together answer the query. It returns none
// when no row can match.
func Statements(m *model.Model, q driver.Query) ([]Statement, error) {
	var st Statement
	if q.Filter != nil {
		query, args, err := Where(m, q.Filter)
		if err != nil {
			return nil, err
		}
		st.Where = append(st.Where, Clause{query, args})
	}
	switch c := q.Where.(type) {
	case nil:
	case *Condition:
		if c.Err != nil {
			return nil, c.Err
		}
		st.apply = c.apply
	default:
		return nil, fmt.Errorf("it has a condition of type %T, which is not from bunsource.Where", q.Where)
	}
	if q.Limit > 0 || Collated(q.Order) {
		var err error
		if st.Order, err = orderBy(m, q.Order); err != nil {
			return nil, err
		}
		st.Limit = q.Limit
	}
	if q.Keys == nil {
		return []Statement{st}, nil
	}
	batches, err := KeyBatches(m, q.Keys)
	if err != nil {
		return nil, err
	}
	if len(batches) > 1 && Collated(q.Order) {
		return nil, fmt.Errorf("ordering %d keys by a collation: one statement does not take so many", len(q.Keys))
	}
	all := make([]Statement, len(batches))
	for i := range batches {
		all[i] = st
		all[i].Keys = &batches[i]
	}
	return all, nil
}

// Build makes the statement read into dest, over conn. It is run once.
func (st *Statement) Build(m *model.Model, conn bun.IConn, dest any) *bun.SelectQuery {
	q := m.DB.NewSelect().Model(dest)
	for i := range m.Relations {
		// The binding's conditions may name joined tables.
		if h := &m.Relations[i]; !st.Bare && st.Expr == "" && st.Only == nil || st.apply != nil && m.Inline(h) {
			q = q.Relation(h.Path)
		}
	}
	if st.Bare {
		for _, k := range m.Schema.Key {
			q = q.Column(k)
		}
	} else {
		q = q.Column(st.Only...)
	}
	if st.Expr != "" {
		q = q.ColumnExpr("?", bun.Safe(st.Expr))
	}
	if st.Keys != nil {
		q = q.Where("?", bun.Safe(st.Keys.Cond))
		if len(st.Keys.Args) > 0 {
			conn = &argsConn{IConn: conn, args: st.Keys.Args}
		}
	}
	q = q.Conn(conn)
	for _, c := range st.Where {
		q = q.Where(c.Query, c.Args...)
	}
	if st.apply != nil {
		// In a group of its own, so that an OR in it does not undo the rest.
		q = q.WhereGroup(" AND ", st.apply)
	}
	for _, o := range st.Order {
		q = q.OrderExpr("?", bun.Safe(o))
	}
	if st.Limit > 0 {
		q = q.Limit(int64(st.Limit))
	}
	return q
}

// argsConn adds arguments to the first query that runs over it. Bun runs queries
// without arguments, but the condition on keys refers to some. The queries for
// related rows follow, and have none.
type argsConn struct {
	bun.IConn
	args []any
	used bool
}

func (c *argsConn) QueryContext(ctx context.Context, query string, _ ...any) (*sql.Rows, error) {
	if c.used {
		return c.IConn.QueryContext(ctx, query)
	}
	c.used = true
	return c.IConn.QueryContext(ctx, query, c.args...)
}
