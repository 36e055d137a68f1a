package arguments

import (
	"fmt"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// FilterName names a client's filter in a [Problem].
const FilterName = "filter"

// maxFilterText bounds the text of a client's filter, in bytes.
const maxFilterText = 16 << 10

// Filter checks the filters by which a client narrows a binding, and returns them as
// one expression, nil for none. It refuses filters on columns that clients do not see:
// the answer would tell what is in them, row by row. hidden says that clients see no
// columns at all, because a function makes what they see.
func Filter(schema *driver.Schema, hidden bool, filters []filter.Expr) (filter.Expr, *Problem) {
	if len(filters) == 0 {
		return nil, nil
	}
	wrong := func(format string, args ...any) (filter.Expr, *Problem) {
		return nil, &Problem{FilterName, fmt.Sprintf(format, args...)}
	}
	if slices.Contains(filters, nil) {
		return wrong("is nil")
	}
	by := filters[0]
	if len(filters) > 1 {
		by = filter.And(filters...)
	}
	if n := len(by.String()); n > maxFilterText {
		return wrong("is longer than %d bytes", maxFilterText)
	}
	if hidden {
		return wrong("cannot be given: clients do not see the columns of this binding")
	}
	visible := func(name string) (value.Kind, bool) {
		c := schema.Column(name)
		if c < 0 || schema.Columns[c].JSON == "" {
			return 0, false
		}
		return schema.Columns[c].Kind, true
	}
	if err := filter.Check(by, visible); err != nil {
		return wrong("is not acceptable: %v", err)
	}
	return by, nil
}
