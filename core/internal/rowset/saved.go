package rowset

import (
	"cmp"
	"fmt"
	"reflect"
	"time"

	"github.com/binderyhq/bindery/core/internal/digest"
	"github.com/binderyhq/bindery/core/live"
)

// Saved returns what a later run needs to serve the snapshot's rows again. unvalued says
// why their Go values cannot be restored, nil if they can. To find out, Saved decodes each
// row that it has not checked before and compares it, which takes a few microseconds a row.
func (v *Member) Saved(snap *live.Snapshot) (s live.Saved, unvalued error) {
	s = snap.Saved()
	s.Declared = v.declared(s.Declared)
	plain := v.Shape.Load().Encoder == encoder{}
	for i := range s.Rows {
		row, _ := snap.Get(s.Rows[i].Key)
		model, err := v.model(row, plain)
		if err != nil {
			unvalued = fmt.Errorf("row %s: %w", row.Key(), err)
			break
		}
		if !plain {
			s.Rows[i].Model = model
		}
	}
	if s.Values = unvalued == nil; !s.Values {
		for i := range s.Rows {
			s.Rows[i].Model = nil
		}
	}
	s.Log = v.View.SavedLog(s.Token, v.logModel(plain || !s.Values))
	return s, unvalued
}

// logModel returns what makes the models of rows in the log; nil if they need none.
func (v *Member) logModel(none bool) func(live.Row) []byte {
	if none {
		return nil
	}
	return func(row live.Row) []byte {
		was := row.Value()
		if was == nil {
			return nil // restored without its value, and not read since
		}
		model, err := v.Loader.Encode(was)
		if err != nil { // unexpected: rows like it could be encoded
			return nil
		}
		return model
	}
}

// model returns JSON from which the row's Go value can be restored. The error names a field
// that would differ.
func (v *Member) model(row live.Row, plain bool) ([]byte, error) {
	model, was := row.JSON(), row.Value()
	if !plain {
		var err error
		if model, err = v.Loader.Encode(was); err != nil {
			return nil, err
		}
	}
	if row.Proven() {
		return model, nil
	}
	is, err := v.Loader.Decode(model)
	if err != nil {
		return nil, err
	}
	if reflect.DeepEqual(was, is) {
		row.Prove()
		return model, nil
	}
	if field, alike := alike(reflect.ValueOf(was).Elem(), reflect.ValueOf(is).Elem()); !alike {
		return nil, fmt.Errorf("field %s is lost in JSON, or becomes another value", cmp.Or(field, "of a row"))
	}
	row.Prove()
	return model, nil
}

// alike reports whether both values are the same to a program. Times are if they are the
// same instant with the same zone offset. Otherwise it names a field that differs, "" if
// the values are not structs.
func alike(a, b reflect.Value) (field string, same bool) {
	switch {
	case a.Type() == reflect.TypeFor[time.Time]() && a.CanInterface():
		one, other := a.Interface().(time.Time), b.Interface().(time.Time)
		_, here := one.Zone()
		_, there := other.Zone()
		return "", one.Equal(other) && here == there
	case a.Kind() == reflect.Struct:
		for i := range a.NumField() {
			if in, same := alike(a.Field(i), b.Field(i)); !same {
				name := a.Type().Field(i).Name
				if in != "" {
					name += "." + in
				}
				return name, false
			}
		}
		return "", true
	case a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil():
		return alike(a.Elem(), b.Elem())
	case a.Kind() == reflect.Slice && !a.IsNil() && !b.IsNil() && a.Len() == b.Len():
		for i := range a.Len() {
			if in, same := alike(a.Index(i), b.Index(i)); !same {
				return in, false
			}
		}
		return "", true
	case a.CanInterface():
		return "", reflect.DeepEqual(a.Interface(), b.Interface())
	default:
		return "", a.IsZero() && b.IsZero() || a.Comparable() && a.Equal(b)
	}
}

// Restore has the binding serve saved rows until it is read. It returns
// [live.ErrOtherDeclaration] if they were saved under another declaration or row type.
func (v *Member) Restore(s live.Saved, now time.Time) error {
	print := v.Shape.Load().print
	if s.Declared != v.declared(print.Bytes()) {
		return fmt.Errorf("%s: %w", v.Describe(), live.ErrOtherDeclaration)
	}
	loader := v.Loader
	return v.Publisher.Restore(print, s, func(model []byte) any {
		row, err := loader.Decode(model)
		if err != nil { // unexpected: Saved has tried it
			return reflect.New(loader.RowType()).Interface()
		}
		return row
	}, now)
}

// declared returns a digest of the binding's declaration, given by its fingerprint print,
// and of the type of its rows.
func (v *Member) declared(print [16]byte) [16]byte {
	typ := describeType(nil, v.Loader.RowType(), make(map[reflect.Type]bool))
	return digest.Of(print[:], typ).Bytes()
}

// describeType appends the names, types and tags of a struct's fields, and of the structs
// inside of it.
func describeType(b []byte, t reflect.Type, seen map[reflect.Type]bool) []byte {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	b = fmt.Appendf(b, "%s;", t)
	if t.Kind() != reflect.Struct || seen[t] {
		return b
	}
	seen[t] = true
	for i := range t.NumField() {
		f := t.Field(i)
		b = fmt.Appendf(b, "%s %s %q;", f.Name, f.Type, f.Tag)
		if f.IsExported() || f.Anonymous {
			b = describeType(b, f.Type, seen)
		}
	}
	return b
}
