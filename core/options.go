package core

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// Option configures a binding. Pass options to [Bind] and to the Bind functions of sources.
// [Registry.Start] reports their problems.
type Option func(*settings)

// settings are the combined options of a binding.
type settings struct {
	rowset.Spec
	tuning    Tuning
	relations []string
}

// Where restricts the binding to the rows for which all the expressions are true. Several
// Where options all apply.
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

// ForLoader passes terms that only the loader understands: a condition, or related rows to
// show. Packages with a loader build their own options from it, so programs rarely call it.
// Relations of several such options add up; only one may have a condition.
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

// OrderBy orders the rows by the columns; a leading "-" makes a column descending. The key
// always completes the order, so equal rows never swap. Values compare as in Go (text by
// its bytes, NULL below everything), both in memory and in the database; see [Ordered] for
// other orders. Without OrderBy rows are ordered by their key.
func OrderBy(columns ...string) Option {
	return func(s *settings) {
		s.Order = append(s.Order, rowset.Orders(columns...)...)
	}
}

// Ordered orders the rows as [OrderBy] does, and also sets where NULLs go and how text is
// ordered: by its bytes, or by a collation of the database. The comment of [driver.Order]
// tells what a collation costs.
func Ordered(order ...driver.Order) Option {
	return func(s *settings) { s.Order = append(s.Order, order...) }
}

// Limit keeps the first n rows in the binding's order. n must be at least 1. Without Limit
// there is no limit.
//
// When the binding's filter is evaluated in memory, the binding also holds some rows beyond
// the limit, its margin, see [Tuning]. A change behind the margin then costs it nothing,
// and a change before its end no query of its own. The database is asked for the first rows
// again when so many have gone that fewer than n are left. Bindings whose filter only the
// database can evaluate query it at every change of their table.
func Limit(n int) Option {
	return func(s *settings) {
		if n < 1 {
			s.Problems = append(s.Problems, fmt.Errorf("limit %d: must be at least 1", n))
		}
		s.Limit = n
	}
}

// Serialize shows clients the result of the function, encoded by encoding/json, in place of
// the row. Go code still gets the row.
//
// The result may depend on the row alone: the function is called once for a row that was
// read, and everyone sees that result. A change that leaves the result the same makes no
// event and no new version. The function may be called concurrently and must not modify
// data that the row refers to. A panic becomes an error of the read or write that needed
// the row.
//
// Clients identify rows by their keys, which delete messages and URLs contain anyway. So
// the result should include the key columns under their names in the model's JSON. Bodies
// of writes use the model's JSON, not the result's.
//
// T is the type of the binding's rows. One Option shared by several bindings of a loader
// encodes each row once for all of them.
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

// Columns shows clients only these columns, named as in the database. Everything else in
// the rows' JSON is left out, including fields that are not columns, such as related rows.
// Go code still gets the whole row. A change of hidden columns makes no event and no new
// version, unless one of them orders the rows.
//
// The key columns must be among them, since clients identify rows by their keys. The order
// of the names does not matter. Several Columns options add up.
//
// In a writable binding, clients write only the columns that they see. A replacement leaves
// the others as they are. An insert leaves them to the model's hooks and to the database,
// which refuses the row when one of them needs a value and gets none.
func Columns(columns ...string) Option {
	return func(s *settings) {
		if len(columns) == 0 {
			s.Problems = append(s.Problems, errors.New("Columns names no column"))
		}
		s.Columns = append(s.Columns, columns...)
	}
}

// WriteRules are the rules for clients' writes to a [Writable] binding. The zero value is
// the strictest for RowsMayLeave and ClientKeys; RequireMatch adds a check.
type WriteRules struct {
	// RowsMayLeave allows a write after which the row no longer belongs to the binding.
	// Without it such a write is rolled back.
	RowsMayLeave bool
	// RequireMatch makes transports refuse updates and deletes that do not say which
	// version of the row they mean (If-Match).
	RequireMatch bool
	// ClientKeys lets inserts name the key even when the database has a default for it: a
	// client that generates its IDs (a UUID) knows the row's key before the answer comes.
	// It does not apply to keys that only the database generates (GENERATED ALWAYS). A key
	// that is already taken is refused with 422, even when the client may not see that row:
	// with random IDs this reveals nothing, with counted ones it does.
	ClientKeys bool
}

// Writable lets clients write to the binding through transports that support it, such as
// rest. Clients can write only rows that the binding holds. The loader must be a
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

// DependsOn names the tables that the binding's rows come from, when these differ from the
// bound table: for a database view, for example. Whenever one of them changes the binding
// is read in full, at the pace of [Tuning].MinInterval, and compared with the rows that it
// holds. An empty Database means the binding's. Several options add up.
//
// Sources then watch these tables instead of the binding's own. Name the binding's own
// table as well if it is written to.
func DependsOn(tables ...driver.Table) Option {
	return func(s *settings) { s.Depends = append(s.Depends, tables...) }
}

// OrderParam lets whoever opens a member of a family choose its order with the parameter of
// that name. Its values are the choices: columns as in [OrderBy], joined by commas. Any
// other value is an [*ArgumentError]. Without the parameter, OrderBy decides.
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

// LimitParam lets whoever opens a member of a family choose its limit with the parameter of
// that name, from the given limits. Any other number is an [*ArgumentError]. Without the
// parameter, [Limit] decides.
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
