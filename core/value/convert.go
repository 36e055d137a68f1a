package value

import (
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"
)

// Of converts a Go value to a Value of its natural kind: all integer types and types
// derived from them become ints (decimals beyond int64), float32 and float64 floats,
// strings texts, slices and arrays of bytes bytes, and time.Time times. A [driver.Valuer]
// is converted by its result (so a uuid.UUID becomes a text), a pointer by what it points
// to. nil, nil pointers and nil byte slices become NULL. A Value is returned as it is.
//
// The error reports a type that no column can hold, or is the Valuer's own.
func Of(v any) (Value, error) {
	switch v := v.(type) {
	case nil:
		return Value{}, nil
	case Value:
		return v, nil
	case bool:
		return Bool(v), nil
	case int:
		return Int(int64(v)), nil
	case int64:
		return Int(v), nil
	case int32:
		return Int(int64(v)), nil
	case float64:
		return Float(v), nil
	case string:
		return Text(v), nil
	case []byte:
		if v == nil {
			return Value{}, nil
		}
		return Bytes(v), nil
	case time.Time:
		return Time(v), nil
	}
	return ofReflect(v)
}

func ofReflect(v any) (Value, error) {
	rv := reflect.ValueOf(v)
	if rv.Kind() == reflect.Pointer && rv.IsNil() {
		return Value{}, nil // even if the value type implements Valuer
	}
	if valuer, ok := v.(driver.Valuer); ok {
		dv, err := valuer.Value()
		if err != nil {
			return Value{}, fmt.Errorf("value: asking %T for its value: %w", v, err)
		}
		if _, again := dv.(driver.Valuer); again {
			return Value{}, fmt.Errorf("value: asking %T for its value: it returned another driver.Valuer, %T", v, dv)
		}
		return Of(dv)
	}
	switch rv.Kind() {
	case reflect.Pointer:
		return Of(rv.Elem().Interface())
	case reflect.Bool:
		return Bool(rv.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return Int(rv.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if u := rv.Uint(); u > math.MaxInt64 {
			return decimalOfUint(u), nil
		}
		return Int(int64(rv.Uint())), nil
	case reflect.Float32, reflect.Float64:
		return Float(rv.Float()), nil
	case reflect.String:
		return Text(rv.String()), nil
	case reflect.Slice:
		if rv.Type().Elem().Kind() == reflect.Uint8 {
			if rv.IsNil() {
				return Value{}, nil
			}
			return Bytes(rv.Bytes()), nil
		}
	case reflect.Array:
		if rv.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, rv.Len())
			reflect.Copy(reflect.ValueOf(b), rv)
			return Value{kind: KindBytes, str: string(b)}, nil
		}
	case reflect.Struct:
		if timeType := reflect.TypeFor[time.Time](); rv.Type().ConvertibleTo(timeType) {
			return Time(rv.Convert(timeType).Interface().(time.Time)), nil
		}
	}
	return Value{}, fmt.Errorf("value: no column holds a %T", v)
}

// Convert converts a Go value to the kind, if nothing is lost:
//
//   - nil and NULL are NULL in every kind;
//   - numbers become each other where they stay the same number; a float is
//     taken as the shortest decimal that reads back as it, so 0.1 is 0.1, and
//     a decimal is a float if that gives the decimal back;
//   - 0 and 1 become booleans, and booleans 0 and 1;
//   - texts become what they spell (see [Parse]; floats are rounded; booleans
//     also as t and f; times also as databases write them, in UTC if without
//     a zone), and everything becomes its text;
//   - texts and bytes become each other, byte by byte; where bytes are to be
//     something else they are taken as text;
//   - everything becomes opaque: as its text, or in JSON if it has no kind.
//
// v may be a Value. The error names value and kind, or is that of [Of].
func Convert(v any, k Kind) (Value, error) {
	from, err := Of(v)
	if err != nil {
		if k != KindOpaque {
			return Value{}, err
		}
		text, jsonErr := json.Marshal(v)
		if jsonErr != nil {
			return Value{}, fmt.Errorf("%w, nor can it be written as JSON: %w", err, jsonErr)
		}
		return opaque(string(text)), nil
	}
	if from.kind == k || from.kind == KindNull {
		return from, nil
	}
	to, err := from.to(k)
	if err != nil {
		return Value{}, problem("converting "+from.kind.String(), k, from.String(), err)
	}
	return to, nil
}

var (
	errLossy     = errors.New("it would not be the same value")
	errUnrelated = errors.New("the kinds have nothing in common")
)

// to converts to another kind. k must differ from v's kind, and v must not be NULL.
func (v Value) to(k Kind) (Value, error) {
	if k == KindNull || k >= kinds {
		return Value{}, errUnrelated
	}
	if v.kind == KindText || v.kind == KindBytes || v.kind == KindOpaque {
		return fromText(v.str, k)
	}
	switch k {
	case KindText:
		return Text(v.String()), nil
	case KindOpaque:
		return opaque(v.String()), nil
	}
	switch v.kind {
	case KindBool:
		if k == KindInt {
			return Int(int64(v.num)), nil
		}
	case KindInt:
		return fromInt(int64(v.num), k)
	case KindFloat:
		return fromFloat(v.float(), k)
	case KindDecimal:
		return fromDecimal(v, k)
	}
	return Value{}, errUnrelated
}

func fromText(s string, k Kind) (Value, error) {
	switch k {
	case KindBytes:
		return Value{kind: KindBytes, str: s}, nil
	case KindBool:
		switch s {
		case "t":
			return Bool(true), nil
		case "f":
			return Bool(false), nil
		}
	case KindTime:
		t, err := parseSQLTime(s)
		if err != nil {
			return Value{}, err
		}
		return Time(t), nil
	}
	return parse(k, s)
}

func fromInt(i int64, k Kind) (Value, error) {
	switch k {
	case KindBool:
		if i != 0 && i != 1 {
			return Value{}, errLossy
		}
		return Bool(i == 1), nil
	case KindFloat:
		f := float64(i)
		if back, ok := intOfFloat(f); !ok || back != i {
			return Value{}, errLossy
		}
		return Float(f), nil
	case KindDecimal:
		return decimalOfInt(i), nil
	}
	return Value{}, errUnrelated
}

func fromFloat(f float64, k Kind) (Value, error) {
	switch k {
	case KindInt:
		i, ok := intOfFloat(f)
		if !ok {
			return Value{}, errLossy
		}
		return Int(i), nil
	case KindDecimal:
		return decimalOfFloat(f), nil
	}
	return Value{}, errUnrelated
}

func fromDecimal(v Value, k Kind) (Value, error) {
	switch k {
	case KindInt:
		i, ok := v.decimalToInt()
		if !ok {
			return Value{}, errLossy
		}
		return Int(i), nil
	case KindFloat:
		f, ok := v.decimalToFloat()
		if !ok {
			return Value{}, errLossy
		}
		return Float(f), nil
	}
	return Value{}, errUnrelated
}

// intOfFloat reports whether f is an int64. The upper bound is exclusive: 2^63 is a
// float64, but 2^63-1 is not.
func intOfFloat(f float64) (int64, bool) {
	if f < -1<<63 || f >= 1<<63 || f != math.Trunc(f) {
		return 0, false
	}
	return int64(f), true
}
