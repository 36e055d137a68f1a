package rowset

import (
	textual "encoding"
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// orderFields returns the order by the fields of the encoded rows, see [live.Description]. A
// client compares numbers by value, text by bytes, false before true, times as instants,
// and null below everything. If that could give another order, orderFields returns nil.
func (sh *Shape) orderFields(row reflect.Type) []string {
	if sh.Collated || sh.Encoder.show != nil { // a serializer may show other fields
		return nil
	}
	fields := make([]string, len(sh.OrderBy))
	for i, o := range sh.OrderBy {
		c := &sh.Schema.Columns[sh.Schema.Column(o.Column)]
		if c.JSON == "" || !shownAsCompared(row, c) || c.Nullable && !nullsAreLowest(o) {
			return nil
		}
		o.Column = c.JSON
		fields[i] = o.String()
	}
	return fields
}

// nullsAreLowest reports whether NULL stands below every value.
func nullsAreLowest(o driver.Order) bool {
	switch o.Nulls {
	case driver.NullsFirst:
		return !o.Desc
	case driver.NullsLast:
		return o.Desc
	default:
		return true
	}
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[textual.TextMarshaler]()
	jsonNumber    = reflect.TypeFor[json.Number]()
	timeOfRow     = reflect.TypeFor[time.Time]()
)

// shownAsCompared reports whether the column's JSON compares as its values do: numbers as
// numbers, texts as strings, times as RFC 3339. Bytes (base64) and types with their own
// JSON do not.
func shownAsCompared(row reflect.Type, c *driver.Column) bool {
	typ, quoted := fieldType(row, c.JSON)
	if typ == nil || quoted {
		return false
	}
	pointer := typ.Kind() == reflect.Pointer
	if pointer {
		typ = typ.Elem()
	}
	number := c.Kind == value.KindInt || c.Kind == value.KindFloat || c.Kind == value.KindDecimal
	switch typ {
	case jsonNumber:
		return number
	case timeOfRow:
		return c.Kind == value.KindTime && (pointer || !c.Nullable)
	}
	for _, t := range []reflect.Type{typ, reflect.PointerTo(typ)} {
		if t.Implements(jsonMarshaler) || t.Implements(textMarshaler) {
			return false
		}
	}
	switch k := typ.Kind(); {
	case k == reflect.String:
		return c.Kind == value.KindText // NULL read as "" is below all as well
	case k == reflect.Bool:
		return c.Kind == value.KindBool && (pointer || !c.Nullable)
	case k >= reflect.Int && k <= reflect.Float64 && k != reflect.Uintptr:
		return number && (pointer || !c.Nullable) // NULL read as 0 is not below -1
	}
	return false
}

// fieldType returns the type of the field with the JSON name, nil if there is none. quoted
// reports the tag option "string".
func fieldType(row reflect.Type, name string) (typ reflect.Type, quoted bool) {
	if row == nil || row.Kind() != reflect.Struct {
		return nil, false
	}
	for _, f := range reflect.VisibleFields(row) {
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && (tag == name || tag == "" && f.Name == name) {
			return f.Type, strings.Contains(","+options+",", ",string,")
		}
	}
	return nil, false
}
