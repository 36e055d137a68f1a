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
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
	"github.com/binderyhq/bindery/sources/bunsource/internal/sqlgen"
)

// mixedColumns are the columns in which SQLite once held a value of a storage class
// other than the type's. They never become exact again, because such values come
// and go.
type mixedColumns struct {
	mu    sync.Mutex
	found map[string]bool
}

// check looks at the rows of a statement that was read over the connection. When
// an exact column holds a value of another storage class, it returns an error that
// wraps [driver.ErrSchemaChanged], since Go and SQLite compare such values
// differently. Every row is checked when it is read, before any binding decides
// about it.
func (c *mixedColumns) check(ctx context.Context, conn bun.IConn, m *model.Model, st sqlgen.Statement) error {
	var names, tests, maxima []string
	for i := range m.Columns {
		if col := &m.Columns[i]; col.Class != "" {
			at := strconv.Itoa(len(names))
			names = append(names, m.Schema.Columns[i].Name)
			tests = append(tests, "typeof("+col.SQL+") NOT IN ('"+col.Class+"', 'null') AS mixed"+at)
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
	st.Bare, st.Expr = false, strings.Join(tests, ", ")
	query := "SELECT " + strings.Join(maxima, ", ") + " FROM (" + st.Build(m, conn, reflect.New(m.Table.Type).Interface()).String() + ")"
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

// mark marks the columns found so far in a newly described model, which is not in use
// yet. Its own look at the table may have missed values that are gone for now.
func (c *mixedColumns) mark(m *model.Model) *model.Model {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range m.Columns {
		if c.found[m.Schema.Columns[i].Name] {
			m.Columns[i].Facts.Mixed, m.Columns[i].Class, m.Schema.Columns[i].Exact = true, "", 0
		}
	}
	return m
}
