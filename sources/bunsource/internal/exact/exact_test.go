package exact

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/mysqldialect"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/sourcetest/buntest"
)

// upper is a text that its type writes and reads itself.
type upper string

func (u *upper) Scan(src any) error {
	*u = upper(strings.ToUpper(fmt.Sprint(src)))
	return nil
}

type status string

type traits struct {
	bun.BaseModel `bun:"table:traits"`
	Flag          bool
	I64           int64
	I32           int32
	I16           *int16
	NullI16       sql.NullInt16
	U8            uint8
	U32           uint32
	U64           uint64
	F64           float64
	F32           float32
	NullF         sql.Null[float64]
	Text          string
	Status        *status
	NullText      sql.NullString
	Upper         upper
	Bytes         []byte
	JSON          json.RawMessage
	Map           map[string]int
	Any           any
	Tags          []string `bun:",array"`
	At            time.Time
	NullAt        bun.NullTime
	SQLAt         *sql.NullTime
	UUID          uuid.UUID
	NullUUID      uuid.NullUUID
	Amount        string `bun:",type:numeric(10,2)"`
}

func TestColumnTraits(t *testing.T) {
	dialects := map[dialect.Name]schema.Dialect{dialect.SQLite: sqlitedialect.New(), dialect.PG: pgdialect.New(), dialect.MySQL: mysqldialect.New()}
	tables := make(map[dialect.Name]*schema.Table)
	for name, d := range dialects {
		tables[name] = buntest.Offline(t, d).Table(reflect.TypeFor[traits]())
	}
	const none, equal, exact = filter.Exactness(0), filter.ExactEqual, filter.Exact
	for _, tt := range []struct {
		d         dialect.Name
		field     string
		sqlType   string // "" for unknown
		collation string
		kind      value.Kind
		want      filter.Exactness
	}{
		// Before the database was asked, nothing is exact.
		{dialect.SQLite, "I64", "", "", value.KindInt, none},
		{dialect.PG, "Amount", "", "", value.KindDecimal, none},
		{dialect.PG, "U64", "", "", value.KindDecimal, none},
		{dialect.PG, "NullAt", "", "", value.KindTime, none},
		{dialect.PG, "NullUUID", "", "", value.KindText, none},

		{dialect.SQLite, "I64", "BIGINT", "BINARY", value.KindInt, exact},
		{dialect.SQLite, "I64", "NUMERIC", "BINARY", value.KindInt, none},
		{dialect.SQLite, "I64", "TEXT", "BINARY", value.KindInt, none},
		{dialect.SQLite, "I32", "INTEGER", "BINARY", value.KindInt, none}, // truncates
		{dialect.SQLite, "NullI16", "INTEGER", "BINARY", value.KindInt, exact},
		{dialect.SQLite, "U64", "INTEGER", "BINARY", value.KindDecimal, none}, // wraps
		{dialect.SQLite, "Flag", "BOOLEAN", "BINARY", value.KindBool, exact},
		{dialect.SQLite, "Flag", "TEXT", "BINARY", value.KindBool, none},
		{dialect.SQLite, "F64", "REAL", "BINARY", value.KindFloat, exact},
		{dialect.SQLite, "F64", "DECIMAL(10,2)", "BINARY", value.KindFloat, none},
		{dialect.SQLite, "F32", "REAL", "BINARY", value.KindFloat, none},
		{dialect.SQLite, "NullF", "FLOAT", "BINARY", value.KindFloat, exact},
		{dialect.SQLite, "Text", "NVARCHAR(160)", "BINARY", value.KindText, exact},
		{dialect.SQLite, "Text", "TEXT", "unknown", value.KindText, none},
		{dialect.SQLite, "Text", "NUMERIC(10,2)", "BINARY", value.KindDecimal, none},
		{dialect.SQLite, "Text", "DATETIME", "BINARY", value.KindTime, none}, // drivers read it as a time
		{dialect.SQLite, "Upper", "TEXT", "BINARY", value.KindText, none},
		{dialect.SQLite, "Status", "TEXT", "BINARY", value.KindText, exact},
		{dialect.SQLite, "Bytes", "BLOB", "BINARY", value.KindBytes, exact},
		{dialect.SQLite, "Bytes", "TEXT", "BINARY", value.KindText, exact},
		{dialect.SQLite, "At", "TIMESTAMP", "BINARY", value.KindTime, none},
		{dialect.SQLite, "UUID", "VARCHAR", "BINARY", value.KindText, none}, // it reads upper case as lower case

		{dialect.PG, "I64", "bigint", "", value.KindInt, exact},
		{dialect.PG, "I32", "bigint", "", value.KindInt, none},
		{dialect.PG, "I32", "integer", "", value.KindInt, exact},
		{dialect.PG, "I16", "smallint", "", value.KindInt, exact},
		{dialect.PG, "U8", "smallint", "", value.KindInt, none},
		{dialect.PG, "U32", "bigint", "", value.KindInt, none},
		{dialect.PG, "Flag", "boolean", "", value.KindBool, exact},
		{dialect.PG, "F64", "double precision", "", value.KindFloat, exact},
		{dialect.PG, "F32", "real", "", value.KindFloat, exact},
		{dialect.PG, "F32", "double precision", "", value.KindFloat, none},
		{dialect.PG, "F64", "numeric(10,2)", "", value.KindFloat, none},
		{dialect.PG, "Text", "numeric(10,2)", "", value.KindDecimal, exact},
		{dialect.PG, "NullText", "character varying(20)", "C", value.KindText, exact | filter.ExactFold},
		{dialect.PG, "Text", "text", "en_US.utf8", value.KindText, equal},
		{dialect.PG, "Text", "text", "nondeterministic", value.KindText, none},
		{dialect.PG, "Text", "character(10)", "C", value.KindText, none}, // padded
		{dialect.PG, "Text", "citext", "C", value.KindText, none},
		{dialect.PG, "Text", "mood", "", value.KindText, none}, // an enum
		{dialect.PG, "UUID", "uuid", "", value.KindText, exact},
		{dialect.PG, "NullUUID", "uuid", "", value.KindText, exact},
		{dialect.PG, "Text", "jsonb", "", value.KindOpaque, none},
		{dialect.PG, "Bytes", "bytea", "", value.KindBytes, exact},
		{dialect.PG, "JSON", "jsonb", "", value.KindOpaque, none},
		{dialect.PG, "Map", "jsonb", "", value.KindOpaque, none},
		{dialect.PG, "Any", "text", "C", value.KindOpaque, none},
		{dialect.PG, "Tags", "text[]", "C", value.KindOpaque, none},
		{dialect.PG, "At", "timestamp(3) with time zone", "", value.KindTime, exact},
		{dialect.PG, "NullAt", "timestamp without time zone", "", value.KindTime, exact},
		{dialect.PG, "SQLAt", "date", "", value.KindTime, exact},
		{dialect.PG, "At", "time without time zone", "", value.KindTime, none},

		{dialect.MySQL, "I64", "bigint", "", value.KindInt, exact},
		{dialect.MySQL, "I64", "bigint unsigned", "", value.KindInt, none},
		{dialect.MySQL, "U64", "bigint unsigned", "", value.KindDecimal, exact},
		{dialect.MySQL, "U32", "int(10) unsigned", "", value.KindInt, exact},
		{dialect.MySQL, "I32", "int(11)", "", value.KindInt, exact},
		{dialect.MySQL, "I32", "bigint(20)", "", value.KindInt, none},
		{dialect.MySQL, "Flag", "tinyint(1)", "", value.KindBool, exact},
		{dialect.MySQL, "Text", "varchar(20)", "utf8mb4_bin", value.KindText, none},
		{dialect.MySQL, "At", "datetime(6)", "", value.KindTime, none},
	} {
		table := tables[tt.d]
		i := slices.IndexFunc(table.Fields, func(f *schema.Field) bool { return f.GoName == tt.field })
		if i < 0 {
			t.Fatalf("no field %s", tt.field)
		}
		facts := Facts{SQLType: tt.sqlType, Collation: tt.collation, Deterministic: tt.collation != "nondeterministic", Known: tt.sqlType != ""}
		kind, got := Traits(tt.d, table.Fields[i], facts)
		if kind != tt.kind || got != tt.want {
			t.Errorf("%s: %s in a column %q %s: got %s, %s; want %s, %s", tt.d, tt.field, tt.sqlType, tt.collation, kind, got, tt.kind, tt.want)
		}
	}
}
