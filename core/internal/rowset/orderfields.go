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

// orderFields returns the order in terms of the encoded rows, see
// [live.Description]. It is nil where a client that compares what the rows show
// would come to another order: numbers by value, text by its bytes, false before
// true, times by the moment that they name, null below everything.
func (sh *Shape) orderFields(row reflect.Type) []string {
	if sh.Collated || sh.Encoder.show != nil { // a serializer's fields are its own
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

// shownAsCompared reports whether rows show the column as JSON that compares as
// its values do: numbers as numbers, texts as strings, times as RFC 3339.
// Bytes are shown in base64, and a type with a JSON of its own in whatever way it
// likes.
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

// fieldType returns the type of the field that has the name in JSON, and whether
// its tag has numbers and booleans shown as strings.
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
