package arguments

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/value"
)

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
	case Texts:
		v, err = parseText(p, arg[0])
	case JSON:
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

var errArgKind = errors.New("arguments: a value of another kind")

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
