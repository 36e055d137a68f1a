package bunsource

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
)

// mixedColumns are the columns of a loader's table in which SQLite was found to
// hold values of another storage class than the type asks for. They are not exact
// again: such values come and go.
type mixedColumns struct {
	mu    sync.Mutex
	found map[string]bool
}

// check looks at the rows of a statement that was read over the connection. When
// an exact column holds a value of another storage class, it returns an error that
// wraps [driver.ErrSchemaChanged], since Go and SQLite compare such values
// differently. Rows that come later are looked at when they are read, which they
// are before any binding decides about them.
func (c *mixedColumns) check(ctx context.Context, conn bun.IConn, m *model, st statement) error {
	var names, tests, maxima []string
	for i := range m.columns {
		if col := &m.columns[i]; col.class != "" {
			at := strconv.Itoa(len(names))
			names = append(names, m.schema.Columns[i].Name)
			tests = append(tests, "typeof("+col.sql+") NOT IN ('"+col.class+"', 'null') AS mixed"+at)
			maxima = append(maxima, "coalesce(max(mixed"+at+"), 0)")
		}
	}
	if names == nil {
		return nil
	}
	found := make([]bool, len(names))
	into := make([]any, len(names))
	for i := range found {
		into[i] = &found[i]
	}
	st.bare, st.expr = false, strings.Join(tests, ", ")
	query := "SELECT " + strings.Join(maxima, ", ") + " FROM (" + st.build(m, conn, reflect.New(m.table.Type).Interface()).String() + ")"
	if err := conn.QueryRowContext(ctx, query).Scan(into...); err != nil {
		return fmt.Errorf("looking for values of another storage class: %w", err)
	}
	var mixed []string
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, name := range names {
		if found[i] {
			if c.found == nil {
				c.found = make(map[string]bool)
			}
			c.found[name] = true
			mixed = append(mixed, name)
		}
	}
	if mixed == nil {
		return nil
	}
	return fmt.Errorf("columns %q hold values of another storage class than their types: %w", mixed, driver.ErrSchemaChanged)
}

// mark returns the model with what was found, which that the database tells of
// its rows now may lack. The model is not in use yet.
func (c *mixedColumns) mark(m *model) *model {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range m.columns {
		if c.found[m.schema.Columns[i].Name] {
			m.columns[i].facts.Mixed, m.columns[i].class, m.schema.Columns[i].Exact = true, "", 0
		}
	}
	return m
}
