package exact

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"reflect"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// codec says how a Go type is read from the database.
type codec uint8

const (
	codecPlain   codec = iota // by Bun, as it is
	codecChecked              // by database/sql, which checks ranges
	codecCustom               // by code of its own
)

var (
	scannerType       = reflect.TypeFor[sql.Scanner]()
	queryAppenderType = reflect.TypeFor[schema.QueryAppender]()

	// plainTypes have code of their own that is known to keep values.
	plainTypes = map[string]bool{
		"github.com/google/uuid.UUID": true, "github.com/google/uuid.NullUUID": true,
		"github.com/gofrs/uuid.UUID": true, "github.com/gofrs/uuid/v5.UUID": true,
		"github.com/shopspring/decimal.Decimal": true, "github.com/shopspring/decimal.NullDecimal": true,
	}
	decimalTypes = map[string]bool{
		"github.com/shopspring/decimal.Decimal": true, "github.com/shopspring/decimal.NullDecimal": true,
	}
)

func IsNamed(t reflect.Type, names map[string]bool) bool { return names[t.PkgPath()+"."+t.Name()] }

func codecOf(t reflect.Type) codec {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == TimeType || t == NullTimeType || IsNamed(t, plainTypes) {
		return codecPlain
	}
	if isSQLNull(t) {
		if inner := codecOf(t.Field(0).Type); inner == codecCustom {
			return codecCustom
		}
		return codecChecked
	}
	for _, t := range []reflect.Type{t, reflect.PointerTo(t)} {
		if t.Implements(ValuerType) || t.Implements(scannerType) || t.Implements(queryAppenderType) {
			return codecCustom
		}
	}
	return codecPlain
}

// isSQLNull reports whether the type is sql.Null or one of its elders, whose
// first field is the value.
func isSQLNull(t reflect.Type) bool {
	return t.PkgPath() == "database/sql" && t.Kind() == reflect.Struct && strings.HasPrefix(t.Name(), "Null")
}

// Payload returns the type without pointers and without what makes it nullable.
func Payload(t reflect.Type) reflect.Type {
	for {
		switch {
		case t.Kind() == reflect.Pointer:
			t = t.Elem()
		case t == NullTimeType:
			return TimeType
		case isSQLNull(t):
			t = t.Field(0).Type
		default:
			return t
		}
	}
}

var (
	TimeType     = reflect.TypeFor[time.Time]()
	NullTimeType = reflect.TypeFor[bun.NullTime]()
	ValuerType   = reflect.TypeFor[sqldriver.Valuer]()
)

var UUIDTypes = map[string]bool{
	"github.com/google/uuid.UUID": true, "github.com/google/uuid.NullUUID": true,
	"github.com/gofrs/uuid.UUID": true, "github.com/gofrs/uuid/v5.UUID": true,
}
