package bunsource

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// SQL is a query of any kind, for [BindSQL]: joins, aggregates, common table
// expressions, window functions, set operations.
type SQL struct {
	// Query builds the query with the db that it is given, as for
	// db.NewSelect().…Scan(ctx, &rows). It is called for every read, from any
	// goroutine, and must always build the same query. Set it or Text, not both.
	Query func(db bun.IDB) *bun.SelectQuery

	// Text is the query as SQL, with Bun's placeholders for Args.
	Text string
	Args []any

	// Key names the columns that tell rows apart. Without it they are the fields
	// tagged `bun:",pk"`.
	Key []string

	// DependsOn names the tables that the query reads: each is a model (a nil
	// pointer will do, (*Product)(nil)), a name with or without its schema
	// ("sales.orders"), or a [driver.Table]. At least one is required, here: the
	// binding's options do not count. For a view, name the tables that it reads.
	DependsOn []any
}

// BindSQL declares a binding over the rows of a query. T is any struct that Bun
// can scan them into; fields tagged scanonly are columns too. BindSQL does not
// touch the database; the registry reports mistakes in T, the query's declaration
// and the options when it starts.
//
// The query runs when the binding loads, and again whenever one of its tables
// changes: one run at a time, at most once in [core.Tuning].MinInterval. The
// differences become the event. So even the smallest change costs one run of the
// query. Time alone starts no run: a query that uses the clock or a random function
// keeps the result of its last run.
//
// The binding's filters, order and limit are applied to the result in memory. An
// ORDER BY of the query's own matters only to its own LIMIT. Such a binding is not
// writable.
//
// Before the first run Bindery asks Postgres, SQLite or MySQL by EXPLAIN which
// tables the query reads, and logs a warning for each that DependsOn does not name.
// Two rows with one key, or a NULL key, are errors: the binding's status shows them,
// and the binding keeps serving its rows from before.
func BindSQL[T any](db *bun.DB, name string, query SQL, opts ...core.Option) *core.Binding[T] {
	return core.Bind[T](name, newSQLLoader[T](db, name, query), opts...)
}

// BindSQLFamily declares a family over the rows of a query, see [core.Family] and
// [BindSQL]. Its parameters are those of its filter; the query has none. One run of
// the query serves all open members; each newly opened member costs one more run.
func BindSQLFamily[T any](db *bun.DB, name string, query SQL, opts ...core.Option) *core.Family[T] {
	return core.BindFamily[T](name, newSQLLoader[T](db, name, query), opts...)
}

// TableOf returns the table of a Bun model as the engine names it, for
// [core.DependsOn]. If T is no model it returns the zero value, which Start
// reports.
func TableOf[T any](db *bun.DB) driver.Table {
	t, err := dependencyOf(db, (*T)(nil))
	if err != nil {
		return driver.Table{}
	}
	return t
}

// newSQLModel describes the rows of a query. Like [model.New] it turns Bun's panics
// into errors.
func newSQLModel(db *bun.DB, typ reflect.Type, name string, query SQL) (m *model.Model, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, sqlError(name, fmt.Errorf("reading type %q: %v", typ, p))
		}
	}()
	switch {
	case db == nil:
		return nil, sqlError(name, errors.New("the *bun.DB is nil"))
	case typ.Kind() != reflect.Struct:
		return nil, sqlError(name, fmt.Errorf("its rows need a struct, not a %s", typ.Kind()))
	}
	m = &model.Model{DB: db, Table: db.Table(typ), Limits: model.LimitsOf(db.Dialect().Name())}
	// The space keeps it apart from tables, which hardly have one in their names.
	m.Schema.Table = driver.Table{Database: databaseName(db), Name: "query " + name}
	m.AddColumns(typ, model.ScannedFields(m.Table))
	for i := range m.Columns {
		m.Describe(i, model.State{})
	}
	var errs []error
	switch {
	case query.Query == nil && strings.TrimSpace(query.Text) == "":
		errs = append(errs, errors.New("it has no query: set Query or Text"))
	case query.Query != nil && (query.Text != "" || query.Args != nil):
		errs = append(errs, errors.New("it has two queries: set Query or Text, not both"))
	}
	if err := m.SetKey(query.Key); err != nil {
		errs = append(errs, err)
	}
	if len(query.DependsOn) == 0 {
		errs = append(errs, errors.New("it depends on nothing: name the tables that the query reads in DependsOn"))
	}
	for _, d := range query.DependsOn {
		t, err := dependencyOf(db, d)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		m.Schema.Depends = append(m.Schema.Depends, t)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, sqlError(name, err)
	}
	return m, nil
}

func sqlError(name string, cause error) error {
	return fmt.Errorf("bunsource: declaring query %q: %w", name, cause)
}

// dependencyOf returns the table that an element of SQL.DependsOn means.
func dependencyOf(db *bun.DB, named any) (t driver.Table, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it depends on %T, which is no model: %v", named, p)
		}
	}()
	switch d := named.(type) {
	case nil:
		return t, errors.New("it depends on nil")
	case driver.Table:
		t = d
	case string:
		t.Name = d
		if s, n, ok := strings.Cut(d, "."); ok {
			t.Schema, t.Name = s, n
		}
	default:
		typ := reflect.TypeOf(d)
		for typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct {
			return t, fmt.Errorf("it depends on a value of type %T: give a model, a table's name, or a core.Table", d)
		}
		t = model.TableOf(db.Table(typ))
	}
	if t.Name == "" {
		return t, errors.New("it depends on a table without a name")
	}
	if t.Database == "" {
		t.Database = databaseName(db)
	}
	return t, nil
}
