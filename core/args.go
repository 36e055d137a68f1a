package core

import (
	"encoding/json"
	"fmt"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/arguments"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/value"
)

// Args are the arguments that select a member of a family, by parameter name. A value is a
// Go value that converts to the kind of the column that the parameter is compared with, or
// a slice of such values when the parameter may have several. For an optional parameter,
// nil and "" count as not given, since forms send empty fields. [QueryArgs], [TextArgs] and
// [JSONArgs] make Args from a client's input.
type Args map[string]any

// QueryArgs returns the arguments in a URL's query, such as a [url.Values]: each value in
// its text form, see [value.Parse], and several values for parameters that may have them.
func QueryArgs(query map[string][]string) Args {
	if len(query) == 0 {
		return nil
	}
	args := make(Args, len(query))
	for name, texts := range query {
		args[name] = arguments.Texts(texts)
	}
	return args
}

// ParamArgs returns the arguments that select the member with these parameters.
func ParamArgs(params live.Params) Args {
	if len(params) == 0 {
		return nil
	}
	args := make(Args, len(params))
	for _, p := range params {
		if !p.Repeated {
			args[p.Name] = p.Value
			continue
		}
		values, _ := args[p.Name].([]value.Value)
		args[p.Name] = append(values, p.Value)
	}
	return args
}

// TextArgs is [QueryArgs] with one value for each parameter.
func TextArgs(texts map[string]string) Args {
	if len(texts) == 0 {
		return nil
	}
	args := make(Args, len(texts))
	for name, text := range texts {
		args[name] = arguments.Texts{text}
	}
	return args
}

// JSONArgs returns the arguments in JSON: numbers for numbers (or strings of digits, which
// no JSON reader rounds), booleans for booleans, strings for everything else, and arrays of
// these for parameters that may have several values. null means nil.
func JSONArgs(raw map[string]json.RawMessage) Args {
	if len(raw) == 0 {
		return nil
	}
	args := make(Args, len(raw))
	for name, r := range raw {
		args[name] = arguments.JSON(r)
	}
	return args
}

// ArgumentError reports a bad argument in a request for a family's member, or a bad client
// filter, in words that a client may see.
type ArgumentError struct {
	// Binding is the name of the binding or family. Param is the name of the parameter, or
	// "filter" for a client's filter.
	Binding, Param string
	// Detail says what is wrong.
	Detail string
}

// Error names the parameter and what is wrong with it.
func (e *ArgumentError) Error() string {
	return fmt.Sprintf("core: binding %q: parameter %q %s", e.Binding, e.Param, e.Detail)
}

// parse converts the arguments that select a member of the family. The error is an
// *ArgumentError, or wraps [ErrNotStarted].
func (f *family) parse(args Args) (live.Params, error) {
	sh := f.proto.Shape.Load()
	if sh == nil {
		return nil, fmt.Errorf("core: binding %q: %w", f.proto.Name(), ErrNotStarted)
	}
	params, wrong := arguments.Parse(sh.Params, args)
	if wrong != nil {
		return nil, &ArgumentError{Binding: f.proto.Name(), Param: wrong.Name, Detail: wrong.Detail}
	}
	return params, nil
}

// narrow checks a client's filters and combines them into one expression, nil for none. The
// error is an *ArgumentError.
func (v *binding) narrow(filters []filter.Expr) (filter.Expr, error) {
	schema := v.Schema()
	by, wrong := arguments.Filter(&schema, v.Spec.Serializer != nil, filters)
	if wrong != nil {
		return nil, &ArgumentError{Binding: v.Name(), Param: wrong.Name, Detail: wrong.Detail}
	}
	return by, nil
}

// allOf returns the conjunction of both expressions; nil means no condition.
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
