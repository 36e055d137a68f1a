package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/value"
)

// Args are the arguments that name a member of a family: Go values that convert
// to the kinds of the columns that the parameters are compared with, and slices of
// such for parameters that may have several. An optional parameter that is nil, or
// the empty text, counts as not given: forms send the fields that are left empty.
// Arguments from outside are made by [QueryArgs], [TextArgs] and [JSONArgs].
type Args map[string]any

// argTexts are the values of an argument in their text form, argJSON is an argument
// in JSON.
type (
	argTexts []string
	argJSON  []byte
)

// QueryArgs returns arguments as the query of a URL has them, which a [url.Values]
// holds: each value in its text form, see [value.Parse], and several for parameters
// that may have several.
func QueryArgs(query map[string][]string) Args {
	if len(query) == 0 {
		return nil
	}
	args := make(Args, len(query))
	for name, texts := range query {
		args[name] = argTexts(texts)
	}
	return args
}

// ParamArgs returns the arguments that name the member with the parameters.
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

// TextArgs is as [QueryArgs], with one value for each parameter.
func TextArgs(texts map[string]string) Args {
	if len(texts) == 0 {
		return nil
	}
	args := make(Args, len(texts))
	for name, text := range texts {
		args[name] = argTexts{text}
	}
	return args
}

// JSONArgs returns arguments in JSON: numbers for numbers (or strings of
// digits, for those that JSON's readers would round), booleans for booleans,
// strings for everything else, and arrays of these for parameters that may have
// several values. null is nil.
func JSONArgs(raw map[string]json.RawMessage) Args {
	if len(raw) == 0 {
		return nil
	}
	args := make(Args, len(raw))
	for name, r := range raw {
		args[name] = argJSON(r)
	}
	return args
}

// ArgumentError says which argument of a request for a family's member is
// wrong, in words that a client may see.
type ArgumentError struct {
	// Binding is the name of the binding or family. Param is the name of the
	// parameter, or "filter" for a client's filter.
	Binding, Param string
	// Detail says what is wrong with it.
	Detail string
}

// Error names the parameter and what is wrong with it.
func (e *ArgumentError) Error() string {
	return fmt.Sprintf("core: binding %q: parameter %q %s", e.Binding, e.Param, e.Detail)
}

// parseArgs converts arguments into the values of the parameters. The error is
// an *ArgumentError about the first that is wrong: those declared come first.
func parseArgs(binding string, params []rowset.Parameter, args Args) (live.Params, error) {
	if len(params) == 0 && len(args) == 0 {
		return nil, nil
	}
	wrong := func(name, detail string) error {
		return &ArgumentError{Binding: binding, Param: clipName(name), Detail: detail}
	}
	out := make(live.Params, 0, len(params))
	for _, p := range params {
		values, problem := parseArg(args[p.Name], &p)
		if problem != "" {
			return nil, wrong(p.Name, problem)
		}
		for _, v := range values {
			out = append(out, live.Param{Name: p.Name, Value: v, Repeated: p.Repeated})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(args)) {
		if !slices.ContainsFunc(params, func(p rowset.Parameter) bool { return p.Name == name }) {
			return nil, wrong(name, "is unknown; "+knownParameters(params))
		}
	}
	return out, nil
}

func knownParameters(params []rowset.Parameter) string {
	if len(params) == 0 {
		return "the binding has no parameters"
	}
	names := make([]string, len(params))
	for i, p := range params {
		names[i] = p.Name
	}
	return "there are: " + strings.Join(names, ", ")
}

// The bounds of what a member holds for a parameter: its values, the bytes of each,
// and those of all together.
const (
	maxArgument       = 1024
	maxArgumentValues = 100
	maxArgumentBytes  = 4096
)

// parseArg converts one argument, nil for one that is not given, into the values of
// the parameter: in ascending order, each once. problem is "" when it could be, and
// when no column refuses them as far as Go knows.
func parseArg(arg any, p *rowset.Parameter) (values []value.Value, problem string) {
	given, problem := valuesOf(arg, p)
	if p.Optional {
		given = slices.DeleteFunc(given, isEmpty)
	}
	switch {
	case problem != "":
		return nil, problem
	case len(given) == 0 && p.Optional:
		return nil, ""
	case len(given) == 0:
		return nil, "is missing"
	case len(given) > maxArgumentValues:
		return nil, fmt.Sprintf("has more than %d values", maxArgumentValues)
	}
	bytes := 0
	for _, one := range given {
		v, problem := parseOne(one, p)
		if problem != "" {
			return nil, problem
		}
		if bytes += len(v.String()); bytes > maxArgumentBytes && p.Repeated {
			return nil, fmt.Sprintf("has values of more than %d bytes", maxArgumentBytes)
		}
		values = append(values, v)
	}
	slices.SortFunc(values, value.Compare)
	return slices.Compact(values), ""
}

// valuesOf takes an argument apart into its values: one, unless the parameter may
// have several.
func valuesOf(arg any, p *rowset.Parameter) (values []any, problem string) {
	switch arg := arg.(type) {
	case nil:
		return nil, ""
	case argTexts:
		for _, text := range arg {
			values = append(values, argTexts{text})
		}
		if len(arg) > 1 && !p.Repeated {
			return nil, "must not be repeated"
		}
		return values, ""
	case argJSON:
		raw := bytes.TrimSpace(arg)
		var list []json.RawMessage
		switch {
		case !p.Repeated || len(raw) == 0 || raw[0] != '[':
			return []any{arg}, ""
		case json.Unmarshal(raw, &list) != nil:
			return nil, "must be " + kindInWords(p.Kind) + ", or an array"
		}
		for _, one := range list {
			values = append(values, argJSON(one))
		}
		return values, ""
	}
	v := reflect.ValueOf(arg)
	if !p.Repeated || v.Kind() != reflect.Slice || v.Type().Elem().Kind() == reflect.Uint8 {
		return []any{arg}, ""
	}
	for i := range v.Len() {
		values = append(values, v.Index(i).Interface())
	}
	return values, ""
}

// isEmpty reports whether a value of an optional parameter counts as not given.
func isEmpty(arg any) bool {
	switch arg := arg.(type) {
	case argTexts:
		return arg[0] == ""
	case argJSON:
		text := string(bytes.TrimSpace(arg))
		return text == "null" || text == `""`
	}
	v := reflect.ValueOf(arg)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	return !v.IsValid() || v.Kind() == reflect.Pointer || v.Kind() == reflect.String && v.Len() == 0
}

// parseOne converts one value.
func parseOne(arg any, p *rowset.Parameter) (v value.Value, problem string) {
	if v, problem = convertArg(arg, p); problem != "" {
		return value.Value{}, problem
	}
	for i := range p.Columns {
		if p.Columns[i].Canonical != nil { // those of one parameter are alike
			v = p.Columns[i].Spell(v)
			break
		}
	}
	if p.Choices != nil && !slices.Contains(p.Choices, v) {
		names := make([]string, len(p.Choices))
		for i, c := range p.Choices {
			names[i] = c.String()
		}
		return value.Value{}, "must be one of: " + strings.Join(names, "; ")
	}
	for _, c := range p.Columns {
		if c.Check == nil {
			continue
		}
		if problem := c.Check(v); problem != "" {
			return value.Value{}, problem
		}
	}
	return v, ""
}

func convertArg(arg any, p *rowset.Parameter) (v value.Value, problem string) {
	var err error
	kind := p.Kind
	switch arg := arg.(type) {
	case argTexts:
		v, err = parseText(p, arg[0])
	case argJSON:
		v, err = parseJSONArg(arg, p)
	default:
		v, err = value.Convert(arg, kind)
	}
	text := v.String()
	switch {
	case err != nil || v.Kind() != kind, kind != value.KindText && (text == "NaN" || strings.HasSuffix(text, "Infinity")):
		return value.Value{}, "must be " + kindInWords(kind)
	case len(text) > maxArgument:
		return value.Value{}, fmt.Sprintf("is longer than %d bytes", maxArgument)
	case kind == value.KindText && (!utf8.ValidString(text) || strings.ContainsRune(text, 0)):
		return value.Value{}, "must be text, in UTF-8 and without NUL"
	}
	return v, ""
}

var errArgKind = errors.New("core: a value of another kind")

// parseText reads text as the first column does: those of one parameter are alike.
func parseText(p *rowset.Parameter, text string) (value.Value, error) {
	for _, c := range p.Columns {
		if c.Parse != nil {
			return c.Parse(text)
		}
	}
	return value.Parse(p.Kind, text)
}

func parseJSONArg(raw []byte, p *rowset.Parameter) (value.Value, error) {
	kind := p.Kind
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var arg any
	if err := dec.Decode(&arg); err != nil {
		return value.Value{}, err
	}
	number := kind == value.KindInt || kind == value.KindFloat || kind == value.KindDecimal
	switch arg := arg.(type) {
	case json.Number:
		if !number {
			return value.Value{}, errArgKind
		}
		if v, err := value.Parse(kind, arg.String()); err == nil {
			return v, nil
		}
		v, err := value.Parse(value.KindDecimal, arg.String()) // 1e3, 42.0
		if err != nil {
			return v, err
		}
		return value.Convert(v, kind)
	case bool:
		if kind != value.KindBool {
			return value.Value{}, errArgKind
		}
		return value.Bool(arg), nil
	case string:
		if kind == value.KindBool {
			return value.Value{}, errArgKind
		}
		return parseText(p, arg)
	default:
		return value.Value{}, errArgKind
	}
}

func kindInWords(k value.Kind) string {
	switch k {
	case value.KindBool:
		return "true or false"
	case value.KindInt:
		return "an integer"
	case value.KindFloat, value.KindDecimal:
		return "a number"
	case value.KindText:
		return "text"
	case value.KindBytes:
		return "bytes, in hexadecimal"
	case value.KindTime:
		return "a time as RFC 3339 writes it"
	default:
		return "a value of kind " + k.String()
	}
}

// clipName keeps long names out of explanations.
func clipName(name string) string {
	const longest = 100
	if len(name) > longest {
		return name[:longest] + "…"
	}
	return name
}
