package core

import (
	"fmt"
	"slices"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// filterParam names a client's filter in an [ArgumentError].
const filterParam = "filter"

// maxFilterText bounds the text of a client's filter, in bytes.
const maxFilterText = 16 << 10

// narrow checks the filters by which a client narrows a binding and returns them
// as one expression, nil for none. A filter on columns that clients do not see
// would tell what is in them, row by row; so it is refused.
func (v *publisher) narrow(filters []filter.Expr) (filter.Expr, error) {
	if len(filters) == 0 {
		return nil, nil
	}
	wrong := func(format string, args ...any) (filter.Expr, error) {
		return nil, &ArgumentError{Binding: v.Name(), Param: filterParam, Detail: fmt.Sprintf(format, args...)}
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
	if v.Spec.Serializer != nil {
		return wrong("cannot be given: clients do not see the columns of this binding")
	}
	schema := v.Schema()
	seen := func(name string) (value.Kind, bool) {
		c := schema.Column(name)
		if c < 0 || schema.Columns[c].JSON == "" {
			return 0, false
		}
		return schema.Columns[c].Kind, true
	}
	if err := filter.Check(by, seen); err != nil {
		return wrong("is not acceptable: %v", err)
	}
	return by, nil
}

// allOf returns what both expressions demand; nil demands nothing.
func allOf(a, b filter.Expr) filter.Expr {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	default:
		return filter.And(a, b)
	}
}
