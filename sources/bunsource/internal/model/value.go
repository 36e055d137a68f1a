package model

import (
	"database/sql"
	"fmt"
	"reflect"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
)

// NullReading says what a Go field shows of a NULL in the database.
type NullReading uint8

const (
	// nullsTold: the field tells NULL from every value, as pointers do.
	nullsTold NullReading = iota
	// NullsAsZero: the field holds its zero value, and is read as that.
	NullsAsZero
	// ZeroAsNull: the zero value is read as NULL, because Bun writes it as NULL
	// (nullzero, bun.NullTime).
	ZeroAsNull
)

// reader returns a function that reads a column from a struct, in the column's
// kind, and says what it makes of NULL.
func reader(f *schema.Field, kind value.Kind, nullable bool) (func(reflect.Value) value.Value, NullReading) {
	typ := f.StructField.Type
	leaf := leafReader(typ, kind)
	nulls := NullsAsZero
	switch zero := leaf(reflect.New(typ).Elem()); {
	case typ == exact.NullTimeType || typ == reflect.PointerTo(exact.NullTimeType):
		nulls = ZeroAsNull
	case f.NullZero && nullable && !f.IsPK:
		nulls = ZeroAsNull
		plain := leaf
		leaf = func(v reflect.Value) value.Value {
			if f.IsZero(v) {
				return value.Null()
			}
			return plain(v)
		}
	case zero.IsNull():
		nulls = nullsTold
	}
	if len(f.Index) == 1 {
		i := f.Index[0]
		return func(strct reflect.Value) value.Value { return leaf(strct.Field(i)) }, nulls
	}
	index := f.Index
	return func(strct reflect.Value) value.Value {
		v, ok := fieldAt(strct, index)
		if !ok {
			return value.Null()
		}
		return leaf(v)
	}, nulls
}

// fieldAt finds a field behind embedded structs. It reports false where an
// embedded pointer is nil.
func fieldAt(v reflect.Value, index []int) (reflect.Value, bool) {
	for i, x := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return reflect.Value{}, false
			}
			v = v.Elem()
		}
		v = v.Field(x)
	}
	return v, true
}

// leafReader returns a function that reads a field of the type as the kind.
// The common pairs need no allocation; everything else goes through
// [value.Convert].
func leafReader(typ reflect.Type, kind value.Kind) func(reflect.Value) value.Value {
	if typ.Kind() == reflect.Pointer && typ != reflect.PointerTo(exact.NullTimeType) {
		elem := leafReader(typ.Elem(), kind)
		return func(v reflect.Value) value.Value {
			if v.IsNil() {
				return value.Null()
			}
			return elem(v.Elem())
		}
	}
	switch typ {
	case exact.TimeType:
		if kind == value.KindTime {
			return func(v reflect.Value) value.Value { return value.Time(*v.Addr().Interface().(*time.Time)) }
		}
	case exact.NullTimeType:
		return func(v reflect.Value) value.Value { return nullTimeValue(v.Addr().Interface().(*bun.NullTime), kind) }
	case reflect.PointerTo(exact.NullTimeType):
		return func(v reflect.Value) value.Value { return nullTimeValue(v.Interface().(*bun.NullTime), kind) }
	case reflect.TypeFor[sql.NullString]():
		if kind == value.KindText {
			return func(v reflect.Value) value.Value {
				n := v.Addr().Interface().(*sql.NullString)
				if !n.Valid {
					return value.Null()
				}
				return value.Text(n.String)
			}
		}
	case reflect.TypeFor[sql.NullInt64]():
		if kind == value.KindInt {
			return func(v reflect.Value) value.Value {
				n := v.Addr().Interface().(*sql.NullInt64)
				if !n.Valid {
					return value.Null()
				}
				return value.Int(n.Int64)
			}
		}
	}
	if typ.Implements(exact.ValuerType) {
		return func(v reflect.Value) value.Value { return convertField(v.Interface(), kind) }
	}
	if reflect.PointerTo(typ).Implements(exact.ValuerType) {
		return func(v reflect.Value) value.Value { return convertField(v.Addr().Interface(), kind) }
	}
	switch k := typ.Kind(); {
	case k == reflect.Bool && kind == value.KindBool:
		return func(v reflect.Value) value.Value { return value.Bool(v.Bool()) }
	case k >= reflect.Int && k <= reflect.Int64 && kind == value.KindInt:
		return func(v reflect.Value) value.Value { return value.Int(v.Int()) }
	case k >= reflect.Uint && k <= reflect.Uint32 && k != reflect.Uint && kind == value.KindInt:
		return func(v reflect.Value) value.Value { return value.Int(int64(v.Uint())) }
	case (k == reflect.Float32 || k == reflect.Float64) && kind == value.KindFloat:
		return func(v reflect.Value) value.Value { return value.Float(v.Float()) }
	case k == reflect.String && kind == value.KindText:
		return func(v reflect.Value) value.Value { return value.Text(v.String()) }
	case k == reflect.Slice && typ.Elem().Kind() == reflect.Uint8 && kind == value.KindBytes:
		return func(v reflect.Value) value.Value {
			if v.IsNil() {
				return value.Null()
			}
			return value.Bytes(v.Bytes())
		}
	case k == reflect.Map, k == reflect.Slice, k == reflect.Interface:
		return func(v reflect.Value) value.Value {
			if v.IsNil() {
				return value.Null()
			}
			return convertField(v.Interface(), kind)
		}
	}
	return func(v reflect.Value) value.Value { return convertField(v.Interface(), kind) }
}

func nullTimeValue(t *bun.NullTime, kind value.Kind) value.Value {
	if t == nil || t.IsZero() {
		return value.Null()
	}
	return convertField(t.Time, kind)
}

// convertField converts values that have no faster way. A value that the column's
// kind cannot hold (a text in a column of decimals, as SQLite allows) keeps its
// natural kind; a value without any kind becomes its text. So a row is not lost
// because of a column that nobody may ask for.
func convertField(v any, kind value.Kind) value.Value {
	if val, err := value.Convert(v, kind); err == nil {
		return val
	}
	if val, err := value.Of(v); err == nil {
		return val
	}
	if val, err := value.Convert(v, value.KindOpaque); err == nil {
		return val
	}
	return value.Text(fmt.Sprint(v))
}

// timeField sets one field that holds a time to UTC.
type timeField struct {
	index []int
	set   func(field reflect.Value)
}

// newTimeField returns the timeField of a column that is read as a time.
func newTimeField(f *schema.Field) (timeField, bool) {
	typ := f.StructField.Type
	ptr := typ.Kind() == reflect.Pointer
	if ptr {
		typ = typ.Elem()
	}
	var inner func(p any) *time.Time
	switch typ {
	case exact.TimeType:
		inner = func(p any) *time.Time { return p.(*time.Time) }
	case exact.NullTimeType:
		inner = func(p any) *time.Time { return &p.(*bun.NullTime).Time }
	case reflect.TypeFor[sql.NullTime]():
		inner = func(p any) *time.Time { return &p.(*sql.NullTime).Time }
	case reflect.TypeFor[sql.Null[time.Time]]():
		inner = func(p any) *time.Time { return &p.(*sql.Null[time.Time]).V }
	default:
		return timeField{}, false
	}
	return timeField{f.Index, func(v reflect.Value) {
		if ptr {
			if v.IsNil() {
				return
			}
		} else {
			v = v.Addr()
		}
		t := inner(v.Interface())
		*t = t.UTC()
	}}, true
}
