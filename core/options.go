package core

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// Option says what a binding holds, and how. Options are given to [Bind] and to
// the Bind functions of sources. Whatever is wrong with them is reported by
// [Registry.Start].
type Option func(*settings)

// settings are what the options of a binding say.
type settings struct {
	rowset.Spec
	tuning    Tuning
	relations []string
}

// Where restricts the binding to the rows for which all the expressions are
// true. Several Where options add up.
func Where(exprs ...filter.Expr) Option {
	return func(s *settings) {
		all := exprs
		if s.Filter != nil {
			all = append([]filter.Expr{s.Filter}, exprs...)
		}
		if len(all) == 1 {
			s.Filter = all[0]
			return
		}
		s.Filter = filter.And(all...)
	}
}

// ForLoader says something in the loader's own terms: a condition, or related rows
// to show. Packages that bring a loader build their own options with it, so
// programs rarely call it. Relations of several such options add up; there may be
// one condition.
func ForLoader(t driver.Terms) Option {
	return func(s *settings) {
		if t.Where == nil && len(t.Relations) == 0 {
			s.Problems = append(s.Problems, errors.New("an option in the loader's terms says nothing: no condition, and no relation"))
		}
		s.relations = append(s.relations, t.Relations...)
		if t.Where == nil {
			return
		}
		if s.Where != nil {
			s.Problems = append(s.Problems, fmt.Errorf("two conditions in the loader's terms (%s; %s): combine them into one", s.Where, t.Where))
		}
		if err := t.Where.Validate(); err != nil {
			s.Problems = append(s.Problems, err)
		}
		s.Where = t.Where
	}
}

// OrderBy orders the rows by the columns; a leading "-" makes a column
// descending. The order is always made total by the key, so equal rows never
// swap. Values are compared as Go does (text by its bytes, NULL below
// everything), in memory as in the database; see [Ordered] for other
// orders. Without OrderBy rows are ordered by their key.
func OrderBy(columns ...string) Option {
	return func(s *settings) {
		s.Order = append(s.Order, rowset.Orders(columns...)...)
	}
}

// Ordered orders the rows as [OrderBy] does, with a say in where NULLs go
// and in how text is ordered: by its bytes, or by a collation of the
// database's, at the cost that [driver.Order.Collation] tells.
func Ordered(order ...driver.Order) Option {
	return func(s *settings) { s.Order = append(s.Order, order...) }
}

// Limit keeps the first n rows in the binding's order. There is no limit
// without it; n must be at least 1.
//
// Where the binding's filter is evaluated in memory, some rows beyond the limit
// are held as well, see [Tuning]: then a change beyond these costs the binding
// nothing, and one before them no query of its own. The database is asked for
// the first rows again when so many have gone that fewer than n are left.
// Bindings whose filter only the database evaluates ask it at every change of
// their table.
func Limit(n int) Option {
	return func(s *settings) {
		if n < 1 {
			s.Problems = append(s.Problems, fmt.Errorf("limit %d: must be at least 1", n))
		}
		s.Limit = n
	}
}

// Serialize shows clients the result of the function, encoded by encoding/json,
// in place of the row. Go code still gets the row.
//
// The function is given nothing but the row, and its result must depend on
// nothing else: it is called once for a row that was read, and everyone is
// shown the result. A change that the result does not show is no event and
// leaves the version alone. The function may be called concurrently and must not
// modify what the row refers to. A panic of its is an error of the read or
// write that needed the row.
//
// Clients tell rows apart by their keys, which messages of deletes and URLs name
// anyway: so the result should show the key columns under the names that they
// have in the model's JSON. Bodies of writes are in the model's JSON, not in the
// result's.
//
// T is the type of the binding's rows. One Option used for several bindings of
// a loader encodes a row once for all of them.
func Serialize[T, V any](show func(row T) V) Option {
	if show == nil {
		return func(s *settings) { s.Problems = append(s.Problems, errors.New("Serialize: its function is nil")) }
	}
	ser := &rowset.Serializer{Takes: reflect.TypeFor[T](), Show: func(row any) any { return show(*row.(*T)) }}
	return func(s *settings) {
		if s.Serializer != nil {
			s.Problems = append(s.Problems, errors.New("Serialize is given twice"))
		}
		s.Serializer = ser
	}
}

// Columns shows clients these columns, named as in the database, and nothing
// else of the rows' JSON: what is no column, such as related rows, is left out
// too. Go code still gets the whole row. A change in columns that are not shown
// is no event and leaves the version alone, unless one of them orders the rows.
//
// The key columns must be among them, since clients tell rows apart by their
// keys. The order of the names does not matter. Several Columns options add up.
//
// In a writable binding, clients write the columns that they see. A replacement
// leaves the others as they are. An insert leaves them to the model's hooks and
// to the database, which refuses it when one of them needs a value and gets none.
func Columns(columns ...string) Option {
	return func(s *settings) {
		if len(columns) == 0 {
			s.Problems = append(s.Problems, errors.New("Columns names no column"))
		}
		s.Columns = append(s.Columns, columns...)
	}
}

// WriteRules say how clients may write to a [Writable] binding. The zero value has
// the strictest rule for each.
type WriteRules struct {
	// RowsMayLeave lets a write put a row outside of the binding. Without it such a
	// write is rolled back.
	RowsMayLeave bool
	// RequireMatch refuses updates and deletes that do not say which version of the
	// row they mean (If-Match).
	RequireMatch bool
	// ClientKeys lets inserts name the key, where the database has a default for
	// it: a client that makes its ids itself (a UUID) knows the row before the
	// answer comes. A key that the database alone makes (GENERATED ALWAYS) cannot
	// be named all the same. A key that is taken is refused with 422, also by a row
	// that the client may not see: random ids tell nothing by that, counted ones do.
	ClientKeys bool
}

// Writable lets clients write to the binding through transports that can, such
// as rest. A write reaches only rows that the binding holds. The loader must be a
// [driver.Writer]. Rules of several such options add up.
func Writable(rules ...WriteRules) Option {
	return func(s *settings) {
		s.Rules.Writable = true
		for _, r := range rules {
			s.Rules.RowsMayLeave = s.Rules.RowsMayLeave || r.RowsMayLeave
			s.Rules.RequireMatch = s.Rules.RequireMatch || r.RequireMatch
			s.Rules.ClientKeys = s.Rules.ClientKeys || r.ClientKeys
		}
	}
}

// DependsOn names the tables that the binding's rows are made of, where that is
// more than the table that it is bound to tells: for a view of the database, for
// one. Whenever one of them changes the binding is read anew, in full and at the
// pace of [Tuning].MinInterval, and compared with what it held. A Database left empty
// means the binding's. Several options add up.
//
// Sources are then shown these tables and no longer the binding's own, which
// may be named as well if it is written to.
func DependsOn(tables ...driver.Table) Option {
	return func(s *settings) { s.Depends = append(s.Depends, tables...) }
}

// OrderParam lets whoever opens a member of a family choose its order, by the
// parameter of that name. Its values are the choices: columns as [OrderBy] takes
// them, joined by commas. Any other value is an [*ArgumentError]. Where the
// parameter is not given, OrderBy decides.
//
//	core.OrderBy("name"), core.OrderParam("sort", "name", "price", "-price,name")
func OrderParam(name string, choices ...string) Option {
	return func(s *settings) {
		if s.OrderChoice != nil {
			s.Problems = append(s.Problems, fmt.Errorf("OrderParam is given twice (%q, %q)", s.OrderChoice.Name, name))
		}
		s.OrderChoice = rowset.NewOrderChoice(name, choices)
	}
}

// LimitParam lets whoever opens a member of a family choose how many rows it has at
// most, by the parameter of that name, out of the limits. Any other number is an
// [*ArgumentError]. Where the parameter is not given, [Limit] decides.
//
//	core.Limit(20), core.LimitParam("top", 20, 50, 100)
func LimitParam(name string, limits ...int) Option {
	return func(s *settings) {
		if s.LimitChoice != nil {
			s.Problems = append(s.Problems, fmt.Errorf("LimitParam is given twice (%q, %q)", s.LimitChoice.Name, name))
		}
		s.LimitChoice = rowset.NewLimitChoice(name, limits)
	}
}
