package writing

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
)

// checkShown refuses members that are no columns, unless they are as the row shows
// them.
func (o *writing) checkShown(before live.Row) error {
	if len(o.asShown) == 0 {
		return nil
	}
	shown := map[string]json.RawMessage{}
	if before.IsZero() {
		shown = nil
	} else if err := json.Unmarshal(before.JSON(), &shown); err != nil {
		return fmt.Errorf("core: binding %q: taking a row apart: %w", o.Member.Name(), err)
	}
	var problems []driver.FieldError
	for _, name := range slices.Sorted(maps.Keys(o.asShown)) {
		if !sameJSON(o.asShown[name], shown[name]) {
			problems = append(problems, driver.FieldError{Field: name, Detail: "is no field that can be written"})
		}
	}
	if len(problems) > 0 {
		return &driver.InvalidError{Fields: problems}
	}
	return nil
}

// decode sets the fields that the body names, one by one, so that it can report
// every wrong one. Objects are merged into the row's in a Merge. Columns that the
// database makes may be given if they are unchanged.
func (o *writing) decode(ctx context.Context, row any) (ch untyped.Change, err error) {
	var problems []driver.FieldError
	merger := merger{o: o, row: row}
	for i := range o.Shape.Schema.Columns {
		c := &o.Shape.Schema.Columns[i]
		raw, ok := o.fields[c.Name]
		if !ok {
			continue
		}
		problem := func(detail string) {
			problems = append(problems, driver.FieldError{Field: fieldName(pathOf(c)), Column: c.Name, Detail: detail})
		}
		was := row
		if c.Generated {
			was = o.db.CloneRow(row)
		}
		switch {
		case isNull(raw):
			setNull(row, pathOf(c))
		case o.w.Op == live.Merge && isObject(raw):
			doc, err := merger.merge(ctx, c, raw)
			if err != nil {
				return ch, fmt.Errorf("core: binding %q: merging field %q: %w", o.Member.Name(), fieldName(pathOf(c)), err)
			}
			raw = doc
			fallthrough
		default:
			if err := setField(row, pathOf(c), raw); err != nil {
				problem(decodeProblem(err))
				continue
			}
		}
		if c.Generated && !slices.Contains(o.Shape.Schema.Key, c.Name) {
			if o.Member.Loader.Value(row, i) != o.Member.Loader.Value(was, i) {
				problem("is made by the database and cannot be changed")
			}
			continue
		}
		ch.Columns = append(ch.Columns, c.Name)
	}
	if len(problems) > 0 {
		return ch, &driver.InvalidError{Fields: problems}
	}
	ch.Documents = merger.documents
	return ch, nil
}

// checkKey refuses key columns in the body that differ from the key in the path,
// and removes key columns from the change.
func (o *writing) checkKey(row any, ch *untyped.Change) error {
	key, err := o.Shape.KeyOf(o.Member.Loader, row)
	if err != nil || key != o.Key {
		var problems []driver.FieldError
		for _, k := range o.Shape.Schema.Key {
			if c := &o.Shape.Schema.Columns[o.Shape.Schema.Column(k)]; slices.Contains(ch.Columns, k) {
				problems = append(problems, driver.FieldError{Field: fieldName(pathOf(c)), Column: k, Detail: "must equal the key in the path"})
			}
		}
		return &driver.InvalidError{Fields: problems}
	}
	ch.Columns = slices.DeleteFunc(ch.Columns, func(c string) bool { return slices.Contains(o.Shape.Schema.Key, c) })
	return nil
}

// complete adds the columns that a Replace resets because the body does not name
// them: columns with a default get it, other nullable ones become NULL.
func (o *writing) complete(row any, ch *untyped.Change) {
	for i := range o.Shape.Schema.Columns {
		c := &o.Shape.Schema.Columns[i]
		_, named := o.fields[c.Name]
		switch {
		case pathOf(c) == nil, c.Generated, named, slices.Contains(o.Shape.Schema.Key, c.Name):
		case c.Default:
			ch.Defaults = append(ch.Defaults, c.Name)
		case c.Nullable:
			setNull(row, pathOf(c))
			ch.Columns = append(ch.Columns, c.Name)
		}
	}
}

// setField sets the field at the path to the JSON value. It clears the field first,
// because encoding/json would keep other members of an existing struct or map.
func setField(row any, path []string, value json.RawMessage) error {
	setNull(row, path)
	for _, name := range slices.Backward(path) {
		label, _ := json.Marshal(name) // a string always encodes
		value = slices.Concat([]byte{'{'}, label, []byte{':'}, value, []byte{'}'})
	}
	return json.Unmarshal(value, row)
}

// setNull sets the field at the path to its zero value, as a NULL is read.
// encoding/json would not change a field that is no pointer.
func setNull(row any, path []string) {
	v := reflect.ValueOf(row).Elem()
	for i, name := range path {
		for v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return
			}
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct {
			return
		}
		if v = memberOf(v, name); !v.IsValid() {
			return
		}
		if i == len(path)-1 {
			v.SetZero()
		}
	}
}

// memberOf returns the struct's field with the JSON name, the zero Value if there is
// none.
func memberOf(v reflect.Value, name string) reflect.Value {
	for _, f := range reflect.VisibleFields(v.Type()) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || tag != name && (tag != "" || f.Name != name) {
			continue
		}
		field, err := v.FieldByIndexErr(f.Index)
		if err != nil {
			return reflect.Value{}
		}
		return field
	}
	return reflect.Value{}
}
