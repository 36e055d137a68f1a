package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/value"
)

// Args are the arguments that name a member of a family: Go values that convert
// to the kinds of the columns that the parameters are compared with. Arguments
// from outside are made by [TextArgs] and [JSONArgs].
type Args map[string]any

// argText is an argument in its text form, argJSON one in JSON.
type (
	argText string
	argJSON []byte
)

// TextArgs returns arguments in text form, as URLs have them; see [value.Parse].
func TextArgs(texts map[string]string) Args {
	if len(texts) == 0 {
		return nil
	}
	args := make(Args, len(texts))
	for name, text := range texts {
		args[name] = argText(text)
	}
	return args
}

// JSONArgs returns arguments in JSON: numbers for numbers (or strings of
// digits, for those that JSON's readers would round), booleans for booleans,
// strings for everything else.
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
		arg, ok := args[p.Name]
		if !ok {
			return nil, wrong(p.Name, "is missing")
		}
		v, problem := parseArg(arg, &p)
		if problem != "" {
			return nil, wrong(p.Name, problem)
		}
		out = append(out, live.Param{Name: p.Name, Value: v})
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

// maxArgument bounds what a member holds for an argument, in bytes.
const maxArgument = 1024

// parseArg converts one argument. problem is "" when it could be, and when no
// column refuses it as far as Go knows.
func parseArg(arg any, p *rowset.Parameter) (v value.Value, problem string) {
	if v, problem = convertArg(arg, p); problem != "" {
		return value.Value{}, problem
	}
	for i := range p.Columns {
		if p.Columns[i].Canonical != nil { // those of one parameter are alike
			v = p.Columns[i].Spell(v)
			break
		}
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
	case argText:
		v, err = parseText(p, string(arg))
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
