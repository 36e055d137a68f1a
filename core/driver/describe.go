package driver

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// Description implements the Schema and Value methods of a [Loader] for rows that are
// structs and come from Go itself: from a file, a map, or another service. A loader embeds
// the result of [Describe] and only has to implement Load.
//
// Columns are the exported fields, including those of embedded structs, named by their JSON
// tags; fields tagged "-" are left out. Go makes all comparisons, so all of them are exact.
// An ID stored as bytes and shown as text, such as a uuid.UUID, is a text column.
type Description[T any] struct {
	schema Schema
	err    error
	fields [][]int
	reads  []func(field reflect.Value) value.Value // nil: convert the field to the column's kind
}

// Describe describes rows of T in the table; the key columns identify a row. Schema returns
// any problem, so core.Registry.Start reports it.
func Describe[T any](table Table, key ...string) *Description[T] {
	d := &Description[T]{schema: Schema{Table: table, Key: key}}
	typ := reflect.TypeFor[T]()
	if typ.Kind() != reflect.Struct {
		d.err = fmt.Errorf("driver: describing rows of table %q: %s is no struct", table, typ)
		return d
	}
	for _, f := range reflect.VisibleFields(typ) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" || f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct {
			continue
		}
		if throughPointer(typ, f.Index) {
			d.err = errors.Join(d.err, fmt.Errorf("driver: describing rows of table %q: field %s lies in an embedded pointer", table, f.Name))
			continue
		}
		if name == "" {
			name = f.Name
		}
		kind, nullable := kindOfType(f.Type)
		c := Column{Name: name, JSON: name, Kind: kind, Nullable: nullable, Exact: filter.Exact | filter.ExactFold}
		read, _ := c.textID(f.Type)
		d.schema.Columns = append(d.schema.Columns, c)
		d.fields = append(d.fields, f.Index)
		d.reads = append(d.reads, read)
	}
	return d
}

// throughPointer reports whether the path to the field passes through an embedded pointer.
func throughPointer(typ reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		typ = typ.Field(i).Type
		if typ.Kind() == reflect.Pointer {
			return true
		}
	}
	return false
}

// kindOfType returns the kind of value that a field of this type holds.
func kindOfType(t reflect.Type) (kind value.Kind, nullable bool) {
	if t.Kind() == reflect.Pointer {
		kind, _ = kindOfType(t.Elem())
		return kind, true
	}
	if t == reflect.TypeFor[time.Time]() {
		return value.KindTime, false
	}
	switch t.Kind() {
	case reflect.Bool:
		return value.KindBool, false
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return value.KindInt, false
	case reflect.Uint, reflect.Uint64, reflect.Uintptr:
		return value.KindDecimal, false
	case reflect.Float32, reflect.Float64:
		return value.KindFloat, false
	case reflect.String:
		return value.KindText, false
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return value.KindBytes, true
		}
	}
	return value.KindOpaque, true
}

// Field returns the index of the column's field, as in
// [reflect.Value.FieldByIndex], or nil when there is no such column.
func (d *Description[T]) Field(column string) []int {
	if i := d.schema.Column(column); i >= 0 {
		return d.fields[i]
	}
	return nil
}

// Schema implements that method of [Loader].
func (d *Description[T]) Schema() (Schema, error) { return d.schema, d.err }

// Value implements that method of [Loader].
func (d *Description[T]) Value(row *T, column int) value.Value {
	kind := d.schema.Columns[column].Kind
	if read := d.reads[column]; read != nil {
		return read(reflect.ValueOf(row).Elem().FieldByIndex(d.fields[column]))
	}
	v, err := value.Convert(reflect.ValueOf(row).Elem().FieldByIndex(d.fields[column]).Interface(), kind)
	if err != nil { // compare what cannot be converted by how it prints
		return value.Text(fmt.Sprint(reflect.ValueOf(row).Elem().FieldByIndex(d.fields[column]).Interface()))
	}
	return v
}
