package rowset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
)

// encoder says how a binding encodes a row for clients. The zero value encodes it as the
// loader does. Equal encoders (==) of one loader make the same bytes, so bindings with
// equal encoders share them.
type encoder struct {
	show *Serializer // nil: encode the row itself
	// names are the members of the row's JSON object to show: quoted, sorted, one a line.
	// "" shows all.
	names string
}

// Serializer is the function given to core.Serialize. Bindings declared with the same option
// value share the pointer.
type Serializer struct {
	Takes reflect.Type
	Show  func(row any) any // given a *T
}

// setEncoder makes the binding's encoder, and removes the JSON names of columns that clients
// do not see from the schema.
func (sh *Shape) setEncoder(v *Member) (errs []error) {
	s := v.Spec
	if s.Serializer != nil {
		if s.Columns != nil {
			errs = append(errs, errors.New("core.Serialize and core.Columns both say what clients see: leave one of them out"))
		}
		if row := v.Loader.RowType(); s.Serializer.Takes != row {
			errs = append(errs, fmt.Errorf("core.Serialize: its function takes a %s, but the rows are of type %s", s.Serializer.Takes, row))
		}
		sh.Encoder.show = s.Serializer
		return errs
	}
	if s.Columns == nil {
		return nil
	}
	names := []string{}
	shown := make(map[string]bool, len(s.Columns))
	for _, name := range s.Columns {
		i := sh.Schema.Column(name)
		switch {
		case i < 0:
			errs = append(errs, fmt.Errorf("core.Columns: unknown column %q of table %q (its columns: %s)", name, sh.Schema.Table, sh.Schema.ColumnNames()))
		case shown[name]:
			errs = append(errs, fmt.Errorf("core.Columns: column %q is named twice", name))
		case sh.Schema.Columns[i].JSON == "":
			errs = append(errs, fmt.Errorf("core.Columns: column %q is not part of the rows' JSON", name))
		default:
			names = append(names, quoteName(sh.Schema.Columns[i].JSON))
		}
		shown[name] = true
	}
	for _, k := range sh.Schema.Key {
		if !shown[k] && sh.Schema.Columns[sh.Schema.Column(k)].JSON != "" {
			errs = append(errs, fmt.Errorf("core.Columns: the key column %q is missing: clients tell rows apart by it", k))
		}
	}
	slices.Sort(names)
	sh.Encoder.names = strings.Join(names, "\n")
	sh.Schema.Columns = slices.Clone(sh.Schema.Columns)
	for i := range sh.Schema.Columns {
		if c := &sh.Schema.Columns[i]; c.JSON != "" && !shown[c.Name] {
			sh.Hidden = append(sh.Hidden, *c)
			c.JSON = ""
		} else if c.Path != nil { // the object that it lies in is not listed
			sh.Hidden = append(sh.Hidden, *c)
			c.Path = nil
		}
	}
	return errs
}

// Encoded returns the row's JSON by the encoder. It is made on first use, and kept. The error
// names the row. A panic of the application's code is returned as an error.
func (c *Fetched) Encoded(r untyped.Loader, by encoder) ([]byte, error) {
	if by == (encoder{}) {
		if c.json == nil {
			b, err := r.Encode(c.Row)
			if err != nil {
				return nil, fmt.Errorf("encoding row %q: %w", c.Key, err)
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
		b, err = by.show.encode(c.Row)
	} else if b, err = c.Encoded(r, encoder{}); err == nil {
		b, err = members(b, by.names)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding row %q: %w", c.Key, err)
	}
	c.shown = append(c.shown, encoding{by, b})
	return b, nil
}

// Keep stores the row as a binding has encoded it, for bindings that encode it alike.
func (c *Fetched) Keep(sh *Shape, row live.Row) {
	if !sh.Collated {
		c.keepRow(sh, row)
	}
	by, json := sh.Encoder, row.JSON()
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

// encoding is a row's JSON by one encoder.
type encoding struct {
	by   encoder
	json []byte
}

func (s *Serializer) encode(row any) ([]byte, error) {
	shown, err := untyped.Guard("Serialize's function", func() (any, error) { return s.Show(row), nil })
	if err != nil {
		return nil, err
	}
	return untyped.EncodeJSON(shown)
}

// members returns the JSON object with only the members in names, in their old order. The
// object must be as [untyped.EncodeJSON] makes it: valid, and without space between tokens.
func members(object []byte, names string) ([]byte, error) {
	if len(object) == 0 || object[0] != '{' {
		return nil, errors.New("core.Columns is for rows that are JSON objects; use Serialize")
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
		return object, nil // shared with encoders that show all
	}
	return bytes.Clone(out), nil
}

// listed reports whether the quoted name is a line of names.
func listed(names string, quoted []byte) bool {
	if bytes.IndexByte(quoted, '\\') >= 0 { // escapes can be written in several ways
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

// quoteName writes a name as [untyped.EncodeJSON] does.
func quoteName(name string) string {
	b, _ := untyped.EncodeJSON(name) // a string always encodes
	return string(b)
}

// stringLength returns the length of the JSON string at the start of b.
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

// valueLength returns the length of the JSON value at the start of b. A comma or a closing
// bracket must follow it.
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
