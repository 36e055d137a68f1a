package bunsource

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/uptrace/bun"
)

// statement is one SELECT of a query: what the query says, and the keys that
// this statement is for.
type statement struct {
	keys  *keyBatch // nil: of any key
	where []sqlCondition
	apply func(*bun.SelectQuery) *bun.SelectQuery // nil: none
	order []string
	limit int
	bare  bool   // the key columns, no others and no related rows
	expr  string // this expression instead of columns
}

// sqlCondition is SQL with Bun's placeholders.
type sqlCondition struct {
	query string
	args  []any
}

// statements returns the SELECTs that together answer the query; none if no
// row can.
func (m *model) statements(q driver.Query) ([]statement, error) {
	var st statement
	if q.Filter != nil {
		query, args, err := m.where(q.Filter)
		if err != nil {
			return nil, err
		}
		st.where = append(st.where, sqlCondition{query, args})
	}
	switch c := q.Where.(type) {
	case nil:
	case *condition:
		if c.err != nil {
			return nil, c.err
		}
		st.apply = c.apply
	default:
		return nil, fmt.Errorf("it has a condition of type %T, which is not from bunsource.Where", q.Where)
	}
	if q.Limit > 0 || collated(q.Order) {
		var err error
		if st.order, err = m.orderBy(q.Order); err != nil {
			return nil, err
		}
		st.limit = q.Limit
	}
	if q.Keys == nil {
		return []statement{st}, nil
	}
	batches, err := m.keyBatches(q.Keys)
	if err != nil {
		return nil, err
	}
	if len(batches) > 1 && collated(q.Order) {
		return nil, fmt.Errorf("ordering %d keys by a collation: one statement does not take so many", len(q.Keys))
	}
	all := make([]statement, len(batches))
	for i := range batches {
		all[i] = st
		all[i].keys = &batches[i]
	}
	return all, nil
}

// build makes the statement read into dest, over conn. It is run once.
func (st *statement) build(m *model, conn bun.IConn, dest any) *bun.SelectQuery {
	q := m.db.NewSelect().Model(dest)
	for i := range m.hops {
		// The conditions of a binding may name what is joined.
		if h := &m.hops[i]; !st.bare && st.expr == "" || st.apply != nil && m.inline(h) {
			q = q.Relation(h.path)
		}
	}
	if st.bare {
		for _, k := range m.schema.Key {
			q = q.Column(k)
		}
	}
	if st.expr != "" {
		q = q.ColumnExpr("?", bun.Safe(st.expr))
	}
	if st.keys != nil {
		q = q.Where("?", bun.Safe(st.keys.cond))
		if len(st.keys.args) > 0 {
			conn = &argsConn{IConn: conn, args: st.keys.args}
		}
	}
	q = q.Conn(conn)
	for _, c := range st.where {
		q = q.Where(c.query, c.args...)
	}
	if st.apply != nil {
		// In a group of its own, so that an OR in it does not undo the rest.
		q = q.WhereGroup(" AND ", st.apply)
	}
	for _, o := range st.order {
		q = q.OrderExpr("?", bun.Safe(o))
	}
	if st.limit > 0 {
		q = q.Limit(int64(st.limit))
	}
	return q
}

// argsConn gives a query that Bun has written, and runs without arguments, the
// arguments that a part of it refers to. The queries that read what is related
// to its rows come after it and have none.
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
