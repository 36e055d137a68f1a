package driver

import (
	"encoding"
	"reflect"

	"github.com/binderyhq/bindery/core/value"
)

// textID makes a text column for an ID that is stored as bytes and shown as text, such as a
// uuid.UUID or a ulid.ULID: a byte array with its own text form. Rows show that text, so
// keys, arguments and filters use it too, and accept every spelling that the type can read.
// It reports false for any other type.
func (c *Column) textID(t reflect.Type) (read func(field reflect.Value) value.Value, ok bool) {
	pointer := t.Kind() == reflect.Pointer
	if pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Array || t.Elem().Kind() != reflect.Uint8 ||
		!t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) || !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return nil, false
	}
	textOf := func(id reflect.Value) (string, bool) {
		text, err := id.Interface().(encoding.TextMarshaler).MarshalText()
		return string(text), err == nil
	}
	spell := func(text string) (string, bool) {
		id := reflect.New(t)
		if id.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)) != nil {
			return text, false
		}
		return textOf(id.Elem())
	}
	c.Kind, c.Nullable = value.KindText, pointer
	c.Canonical = func(v value.Value) value.Value {
		if text, ok := spell(v.String()); ok {
			return value.Text(text)
		}
		return v
	}
	c.Check = func(v value.Value) string {
		if _, ok := spell(v.String()); !ok {
			return "is not of the column's type"
		}
		return ""
	}
	return func(field reflect.Value) value.Value {
		if pointer {
			if field.IsNil() {
				return value.Null()
			}
			field = field.Elem()
		}
		text, _ := textOf(field)
		return value.Text(text)
	}, true
}
