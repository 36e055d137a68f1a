package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
)

// encoder says how a binding shows a row. The zero value shows it as
// encoding/json does. Encoders of one loader that are equal (==) make the same
// bytes of a row, so that bindings which encode alike share them.
type encoder struct {
	show *serializer // nil: the row itself
	// names are the members of the row's JSON object that are shown, sorted,
	// each quoted and in lines of their own; "" shows all.
	names string
}

// serializer is what Serialize declares. One that is used in several bindings
// is the same pointer in all of them.
type serializer struct {
	takes reflect.Type
	show  func(row any) any // given a *T
}

// setEncoder makes the binding's encoder, and takes the names of columns that
// nobody sees out of the schema.
func (sh *shape) setEncoder(v *publisher) (errs []error) {
	s := v.spec
	if s.serializer != nil {
		if s.columns != nil {
			errs = append(errs, errors.New("Serialize and Columns both say what clients see: leave one of them out"))
		}
		if row := v.read.rowType(); s.serializer.takes != row {
			errs = append(errs, fmt.Errorf("Serialize: its function takes a %s, but the rows are of type %s", s.serializer.takes, row))
		}
		sh.enc.show = s.serializer
		return errs
	}
	if s.columns == nil {
		return nil
	}
	names := []string{}
	shown := make(map[string]bool, len(s.columns))
	for _, name := range s.columns {
		i := sh.schema.Column(name)
		switch {
		case i < 0:
			errs = append(errs, fmt.Errorf("Columns: unknown column %q of table %q (its columns: %s)", name, sh.schema.Table, sh.schema.ColumnNames()))
		case shown[name]:
			errs = append(errs, fmt.Errorf("Columns: column %q is named twice", name))
		case sh.schema.Columns[i].JSON == "":
			errs = append(errs, fmt.Errorf("Columns: column %q is not part of the rows' JSON", name))
		default:
			names = append(names, quoteName(sh.schema.Columns[i].JSON))
		}
		shown[name] = true
	}
	for _, k := range sh.schema.Key {
		if !shown[k] && sh.schema.Columns[sh.schema.Column(k)].JSON != "" {
			errs = append(errs, fmt.Errorf("Columns: the key column %q is missing: clients tell rows apart by it", k))
		}
	}
	slices.Sort(names)
	sh.enc.names = strings.Join(names, "\n")
	sh.schema.Columns = slices.Clone(sh.schema.Columns)
	for i := range sh.schema.Columns {
		if c := &sh.schema.Columns[i]; c.JSON != "" && !shown[c.Name] {
			sh.hidden = append(sh.hidden, *c)
			c.JSON = ""
		} else if c.Path != nil { // the object that it lies in is not listed
			sh.hidden = append(sh.hidden, *c)
			c.Path = nil
		}
	}
	return errs
}

// encoded returns the row's JSON as the encoder makes it, made on first use.
// The error names the row; a panic of the application's code is one.
func (c *candidate) encoded(r reader, by encoder) ([]byte, error) {
	if by == (encoder{}) {
		if c.json == nil {
			b, err := r.encode(c.row)
			if err != nil {
				return nil, fmt.Errorf("encoding row %q: %w", c.key, err)
			}
			c.json = b
		}
		return c.json, nil
	}
	for i := range c.shown {
		if c.shown[i].by == by {
			return c.shown[i].json, nil
		}
	}
	var b []byte
	var err error
	if by.show != nil {
		b, err = by.show.encode(c.row)
	} else if b, err = c.encoded(r, encoder{}); err == nil {
		b, err = members(b, by.names)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding row %q: %w", c.key, err)
	}
	c.shown = append(c.shown, encoding{by, b})
	return b, nil
}

// keep notes what the encoder has made of the row.
func (c *candidate) keep(by encoder, json []byte) {
	if by == (encoder{}) {
		c.json = json
		return
	}
	for i := range c.shown {
		if c.shown[i].by == by {
			return
		}
	}
	c.shown = append(c.shown, encoding{by, json})
}

// encoding is a row's JSON as one encoder makes it.
type encoding struct {
	by   encoder
	json []byte
}

func (s *serializer) encode(row any) ([]byte, error) {
	shown, err := guard("Serialize's function", func() (any, error) { return s.show(row), nil })
	if err != nil {
		return nil, err
	}
	return encodeJSON(shown)
}

// encodeJSON encodes as encoding/json does. The result is served as JSON and
// not put into pages, so <, > and & stay what they are.
func encodeJSON(v any) (_ []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in encoding a %T: %v\n%s", v, p, debug.Stack())
		}
	}()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// members returns a JSON object with those members of the given one that the
// names list, in the order in which they were. The object is as encodeJSON makes
// it: valid, and without space between tokens.
func members(object []byte, names string) ([]byte, error) {
	if len(object) == 0 || object[0] != '{' {
		return nil, errors.New("Columns is for rows that are JSON objects; use Serialize")
	}
	var stack [512]byte
	out := append(stack[:0], '{')
	for rest := object[1:]; rest[0] != '}'; {
		name := stringLength(rest)
		end := name + 1 + valueLength(rest[name+1:])
		if listed(names, rest[:name]) {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(out, rest[:end]...)
		}
		if rest = rest[end:]; rest[0] == ',' {
			rest = rest[1:]
		}
	}
	out = append(out, '}')
	if len(out) == len(object) {
		return object, nil // shared with those who see all
	}
	return bytes.Clone(out), nil
}

// listed reports whether the quoted name is a line of names.
func listed(names string, quoted []byte) bool {
	if bytes.IndexByte(quoted, '\\') >= 0 { // there are several ways to write it
		var name string
		if json.Unmarshal(quoted, &name) != nil {
			return false
		}
		quoted = []byte(quoteName(name))
	}
	for more := true; more; {
		var line string
		if line, names, more = strings.Cut(names, "\n"); line == string(quoted) {
			return true
		}
	}
	return false
}

// quoteName writes a name as encodeJSON does.
func quoteName(name string) string {
	b, _ := encodeJSON(name) // a string always encodes
	return string(b)
}

// stringLength returns the length of the JSON string that b begins with.
func stringLength(b []byte) int {
	for i := 1; ; i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// valueLength returns the length of the JSON value that b begins with, and that
// something of the same object or array follows.
func valueLength(b []byte) int {
	depth := 0
	for i := 0; ; i++ {
		switch b[i] {
		case '"':
			i += stringLength(b[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
}
