package writing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// parse parses the body, as far as possible without the row.
func (o *writing) parse() error {
	o.Key = o.w.Key
	if o.w.Op == live.Delete {
		return nil
	}
	raw, err := parseObject(o.w.Body)
	if err != nil {
		return err
	}
	p := bodyParser{o: o, byPath: make(map[string]*driver.Column), shown: o.shownMembers()}
	for i := range o.Shape.Schema.Columns {
		c := &o.Shape.Schema.Columns[i]
		path := pathOf(c)
		for n := 1; n < len(path); n++ {
			p.byPath[pathKey(path[:n])] = nil
		}
		if path != nil {
			p.byPath[pathKey(path)] = c
		}
	}
	o.fields, o.asShown = make(map[string]json.RawMessage, len(raw)), make(map[string]json.RawMessage)
	p.take(nil, raw)
	if o.w.Op != live.Merge {
		p.missing()
	}
	p.tryValues()
	if len(p.problems) > 0 {
		slices.SortStableFunc(p.problems, func(a, b driver.FieldError) int { return strings.Compare(a.Field, b.Field) })
		return &driver.InvalidError{Fields: p.problems}
	}
	return nil
}

// shownMembers returns the members of the row's JSON as the binding shows it, nil
// if it does not show the row.
func (o *writing) shownMembers() map[string]json.RawMessage {
	if o.w.Op == live.Insert {
		return nil
	}
	row, ok := o.Member.Snapshot().Get(o.Key)
	if !ok {
		return nil
	}
	members := map[string]json.RawMessage{}
	if json.Unmarshal(row.JSON(), &members) != nil {
		return nil // the application's serializer makes no object
	}
	return members
}

// bodyParser assigns the members of a body to columns.
type bodyParser struct {
	o        *writing
	byPath   map[string]*driver.Column // nil for an object that contains columns
	shown    map[string]json.RawMessage
	problems []driver.FieldError
}

func (p *bodyParser) refuse(path []string, detail string) {
	p.problems = append(p.problems, driver.FieldError{Field: fieldName(path), Detail: detail})
}

// take goes through the members of an object at the path.
func (p *bodyParser) take(within []string, members map[string]json.RawMessage) {
	for _, name := range slices.Sorted(maps.Keys(members)) {
		raw, path := members[name], append(slices.Clone(within), name)
		c, known := p.byPath[pathKey(path)]
		switch {
		case !known:
			// A client may send back other members that GET shows, unchanged.
			if _, shown := p.shown[name]; shown && within == nil {
				p.o.asShown[name] = raw
			} else {
				p.refuse(path, "is no field of this binding")
			}
		case c == nil && !isObject(raw):
			p.refuse(path, "must be an object")
		case c == nil:
			inner, err := parseObject(raw)
			if err != nil { // cannot happen: the body was parsed
				p.refuse(path, "must be an object")
				continue
			}
			p.take(path, inner)
		case p.o.w.Op == live.Insert && p.o.isMade(c):
			p.refuse(path, "is made by the database and cannot be given")
		case isNull(raw) && !c.Nullable:
			p.refuse(path, "must not be null")
		default:
			p.o.fields[c.Name] = raw
		}
	}
}

// isMade reports whether the database makes the column's value in an insert, so
// that clients cannot give one.
func (o *writing) isMade(c *driver.Column) bool {
	return c.Generated || c.Default && !o.Member.Spec.Rules.ClientKeys && slices.Contains(o.Shape.Schema.Key, c.Name)
}

// missing refuses columns that need a value and get none.
func (p *bodyParser) missing() {
	for i := range p.o.Shape.Schema.Columns {
		c := &p.o.Shape.Schema.Columns[i]
		_, named := p.o.fields[c.Name]
		path := pathOf(c)
		isKey := slices.Contains(p.o.Shape.Schema.Key, c.Name)
		if named || path == nil || c.Nullable || c.Default || c.Generated || isKey && p.o.w.Op == live.Replace {
			continue
		}
		// Report only one problem for each field.
		if !slices.ContainsFunc(p.problems, func(f driver.FieldError) bool { return f.Field == fieldName(path) }) {
			p.refuse(path, "is missing")
		}
	}
}

// tryValues sets the values in a scratch row, so that all errors are reported at
// once, and before the transaction. It skips objects of a merge, which are
// complete only once merged.
func (p *bodyParser) tryValues() {
	for i := range p.o.Shape.Schema.Columns {
		c := &p.o.Shape.Schema.Columns[i]
		raw, ok := p.o.fields[c.Name]
		if !ok || isNull(raw) || p.o.w.Op == live.Merge && isObject(raw) {
			continue
		}
		if err := setField(p.o.db.NewRow(), pathOf(c), raw); err != nil {
			p.refuse(pathOf(c), decodeProblem(err))
		}
	}
}

// pathOf returns the column's path in a row's JSON, nil if rows do not show it.
func pathOf(c *driver.Column) []string {
	if c.JSON != "" {
		return []string{c.JSON}
	}
	return c.Path
}

// fieldName names a field as clients do.
func fieldName(path []string) string { return strings.Join(path, ".") }

// pathKey makes a path a map key: names may have any character in them.
func pathKey(path []string) string {
	var b []byte
	for _, name := range path {
		b = fmt.Appendf(b, "%d:%s", len(name), name)
	}
	return string(b)
}

// parseObject splits a JSON object into its members. If a name is given twice, the
// last counts, as in encoding/json.
func parseObject(body []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	var raw map[string]json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		var typeErr *json.UnmarshalTypeError
		if errors.As(err, &typeErr) {
			return nil, &live.MalformedError{Detail: "want a JSON object, got " + typeErr.Value}
		}
		if errors.Is(err, io.EOF) {
			return nil, &live.MalformedError{Detail: "it is empty"}
		}
		return nil, &live.MalformedError{Detail: err.Error()}
	}
	if raw == nil {
		return nil, &live.MalformedError{Detail: "want a JSON object, got null"}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &live.MalformedError{Detail: "there is something after the JSON object"}
	}
	return raw, nil
}

func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }
