package bunsource

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/pgdialect"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/sqlgen"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// customID is an identifier that its type writes and reads itself.
type customID struct{ n int64 }

func (c customID) Value() (sqldriver.Value, error) { return fmt.Sprintf("ID-%d", c.n), nil }

func (c *customID) Scan(src any) error {
	_, err := fmt.Sscanf(fmt.Sprint(src), "ID-%d", &c.n)
	return err
}

type level string

type (
	intKeyed struct {
		bun.BaseModel `bun:"table:Int Keyed"`
		ID            int64 `bun:",pk"`
	}
	smallKeyed struct {
		bun.BaseModel `bun:"table:small_keyed"`
		ID            int16 `bun:",pk"`
	}
	unsignedKeyed struct {
		bun.BaseModel `bun:"table:unsigned_keyed"`
		ID            uint32 `bun:",pk,type:bigint"`
	}
	boolKeyed struct {
		bun.BaseModel `bun:"table:bool_keyed"`
		ID            bool `bun:",pk"`
	}
	floatKeyed struct {
		bun.BaseModel `bun:"table:float_keyed"`
		ID            float64 `bun:",pk"`
	}
	realKeyed struct {
		bun.BaseModel `bun:"table:real_keyed"`
		ID            float32 `bun:",pk"`
	}
	textKeyed struct {
		bun.BaseModel `bun:"table:text_keyed"`
		ID            string `bun:",pk"`
	}
	namedTextKeyed struct {
		bun.BaseModel `bun:"table:named_text_keyed"`
		ID            level `bun:",pk"`
	}
	uuidKeyed struct {
		bun.BaseModel `bun:"table:uuid_keyed"`
		ID            uuid.UUID `bun:",pk,type:uuid"`
	}
	bytesKeyed struct {
		bun.BaseModel `bun:"table:bytes_keyed"`
		ID            []byte `bun:",pk"`
	}
	timeKeyed struct {
		bun.BaseModel `bun:"table:time_keyed"`
		ID            time.Time `bun:",pk"`
	}
	localTimeKeyed struct {
		bun.BaseModel `bun:"table:local_time_keyed"`
		ID            time.Time `bun:",pk,type:timestamp"`
	}
	dateKeyed struct {
		bun.BaseModel `bun:"table:date_keyed"`
		ID            time.Time `bun:",pk,type:date"`
	}
	decimalKeyed struct {
		bun.BaseModel `bun:"table:decimal_keyed"`
		ID            string `bun:",pk,type:numeric"`
	}
	customKeyed struct {
		bun.BaseModel `bun:"table:custom_keyed"`
		ID            customID `bun:",pk,type:text"`
	}
	compositeKeyed struct {
		bun.BaseModel `bun:"table:PlaylistTrack"`
		PlaylistID    int64     `bun:"PlaylistId,pk"`
		Title         string    `bun:"Title,pk"`
		At            time.Time `bun:"at,pk"`
	}
)

// testKeys holds a loader to the promise that a key read from a row finds that
// row, and no other.
func testKeys[T any](t *testing.T, db *bun.DB, rows ...T) {
	t.Helper()
	t.Run(strings.TrimPrefix(fmt.Sprintf("%T", *new(T)), "bunsource."), func(t *testing.T) {
		createTable(t, db, rows...)
		for _, phase := range []string{"before Prepare", "after Prepare"} {
			l := NewLoader[T](db)
			if phase == "after Prepare" {
				l = preparedLoader[T](t, db)
			}
			all := loadAll(t, l)
			if len(all) != len(rows) {
				t.Fatalf("%s: read %d rows, want %d", phase, len(all), len(rows))
			}
			var keys []driver.Key
			for _, row := range all {
				key := keyOf(t, l, row)
				keys = append(keys, key)
				got, err := l.Load(t.Context(), []driver.Key{key})
				if err != nil {
					t.Fatalf("%s: key %s: %v", phase, key, err)
				}
				if len(got) != 1 || !reflect.DeepEqual(got[0], row) {
					t.Errorf("%s: key %s of %+v: read %d rows %+v", phase, key, *row, len(got), got)
				}
				testRowCondition(t, l, key, row)
			}
			got, err := l.Load(t.Context(), keys)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(rows) {
				t.Errorf("%s: all keys: read %d rows, want %d", phase, len(got), len(rows))
			}
		}
	})
}

// testRowCondition holds the condition for one row to the same promise.
func testRowCondition[T any](t *testing.T, l *Loader[T], key driver.Key, row *T) {
	t.Helper()
	m, err := l.model()
	if err != nil {
		t.Fatal(err)
	}
	cond, err := sqlgen.RowCondition(m, key)
	if err != nil {
		t.Fatal(err)
	}
	var got []*T
	if err := l.db.NewSelect().Model(&got).Where("?", cond).Scan(t.Context()); err != nil {
		t.Fatalf("%s: %v", cond, err)
	}
	if len(got) != 1 {
		t.Fatalf("%s: read %d rows", cond, len(got))
	}
	m.Normalise(reflect.ValueOf(got[0]).Elem())
	if !reflect.DeepEqual(got[0], row) {
		t.Errorf("%s: read %+v, want %+v", cond, *got[0], *row)
	}
}

func TestKeysComeBackExactly(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		at := time.Date(2024, 2, 29, 23, 59, 58, 123456000, time.UTC)
		testKeys(t, db, intKeyed{ID: 1}, intKeyed{ID: -9223372036854775808}, intKeyed{ID: 9223372036854775807})
		testKeys(t, db, smallKeyed{ID: -32768}, smallKeyed{ID: 32767})
		testKeys(t, db, unsignedKeyed{ID: 0}, unsignedKeyed{ID: 4294967295})
		testKeys(t, db, boolKeyed{ID: true}, boolKeyed{ID: false})
		testKeys(t, db, floatKeyed{ID: 0.1}, floatKeyed{ID: -5}, floatKeyed{ID: 1e300}, floatKeyed{ID: 5e-324}, floatKeyed{ID: 1.0 / 3})
		testKeys(t, db, realKeyed{ID: 0.1}, realKeyed{ID: 16777216}, realKeyed{ID: 3.4e38})
		testKeys(t, db, textKeyed{ID: ""}, textKeyed{ID: "a"}, textKeyed{ID: "A"}, textKeyed{ID: "a "}, textKeyed{ID: `it's "q" \ {x,y} ? ?0 $1`},
			textKeyed{ID: "007"}, textKeyed{ID: "NULL"}, textKeyed{ID: "e\u0301"}, textKeyed{ID: "é"}, textKeyed{ID: "🎵\n\t-- x"})
		testKeys(t, db, namedTextKeyed{ID: "high"}, namedTextKeyed{ID: "low"})
		testKeys(t, db, uuidKeyed{ID: uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8")}, uuidKeyed{ID: uuid.Nil})
		testKeys(t, db, bytesKeyed{ID: []byte{}}, bytesKeyed{ID: []byte{0, 1, 0xff}}, bytesKeyed{ID: []byte(`\x00'"`)})
		testKeys(t, db, timeKeyed{ID: at}, timeKeyed{ID: at.Truncate(time.Second)}, timeKeyed{ID: time.Date(2024, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600))}, timeKeyed{ID: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)}, timeKeyed{ID: time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC)})
		testKeys(t, db, localTimeKeyed{ID: at}, localTimeKeyed{ID: at.Truncate(time.Hour)})
		testKeys(t, db, dateKeyed{ID: time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)})
		testKeys(t, db, customKeyed{ID: customID{1}}, customKeyed{ID: customID{-2}})
		testKeys(t, db,
			compositeKeyed{PlaylistID: 1, Title: "a,b", At: at}, compositeKeyed{PlaylistID: 1, Title: "a", At: at},
			compositeKeyed{PlaylistID: 2, Title: "a", At: at}, compositeKeyed{PlaylistID: 1, Title: "a", At: at.Add(time.Microsecond)})
	})
}

// Behind a pooler pgx must not prepare statements; parameters are then sent in
// other ways.
func TestKeysInEveryModeOfPgx(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"simple_protocol", "exec", "cache_describe"} {
		t.Run(mode, func(t *testing.T) {
			dsn := pgtest.Shared(t).CreateDatabase(t)
			sep := "?"
			if strings.Contains(dsn, "?") {
				sep = "&"
			}
			sqldb, err := sql.Open("pgx", dsn+sep+"default_query_exec_mode="+mode)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { sqldb.Close() })
			db := bun.NewDB(sqldb, pgdialect.New())
			testKeys(t, db, intKeyed{ID: 1}, intKeyed{ID: -2})
			testKeys(t, db, textKeyed{ID: `it's "q" \ {x,y} ? $1`}, textKeyed{ID: ""})
			testKeys(t, db, bytesKeyed{ID: []byte{0, 0xff}})
			testKeys(t, db, uuidKeyed{ID: uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8")})
			testKeys(t, db, compositeKeyed{PlaylistID: 1, Title: `a,"b`, At: time.UnixMicro(1).UTC()}, compositeKeyed{PlaylistID: 2, Title: "", At: time.UnixMicro(1).UTC()})
		})
	}
}

func TestDecimalKeysComeBackExactly(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		digits := []string{"1.50", "-0.001", "12345678901234.5"}
		if db.Dialect().Name() == dialect.PG { // SQLite keeps numbers as float64
			digits = append(digits, "123456789012345678901234567890.123456789", "NaN", "1e-20")
		}
		rows := make([]decimalKeyed, len(digits))
		for i, d := range digits {
			rows[i].ID = d
		}
		testKeys(t, db, rows...)
	})
}

// SQLite has no type for times: whatever wrote them chose their form.
func TestTimeKeysOfOtherWriters(t *testing.T) {
	db := loaderSQLite(t)
	createTable[timeKeyed](t, db)
	for _, text := range []string{
		"2024-01-01 10:00:00", "2024-01-02T10:00:00Z", "2024-01-03T10:00:00.123Z", "2024-01-04 10:00:00.000",
		"2024-01-05", "2024-01-06 10:00:00.123456789+00:00", "2024-01-07 10:00:00 +0000 UTC", "2024-01-08T10:00:00",
		"2024-01-09T10:00:00.000Z",
	} {
		mustExec(t, db, "INSERT INTO time_keyed VALUES (?)", text)
	}
	l := preparedLoader[timeKeyed](t, db)
	for _, row := range loadAll(t, l) {
		got, err := l.Load(t.Context(), []driver.Key{keyOf(t, l, row)})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || !got[0].ID.Equal(row.ID) {
			t.Errorf("%v: read %d rows", row.ID, len(got))
		}
	}
}

// One key that the database would refuse must not spoil the read of the others.
func TestImpossibleKeysAreLeftOut(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		id := uuid.New()
		createTable(t, db, uuidKeyed{ID: id})
		createTable(t, db, smallKeyed{ID: 7})
		createTable(t, db, textKeyed{ID: "a"})

		uuids := preparedLoader[uuidKeyed](t, db)
		rows, err := uuids.Load(t.Context(), []driver.Key{driver.KeyOf("no uuid"), driver.KeyOf(id.String()), driver.KeyOf("")})
		if err != nil || len(rows) != 1 {
			t.Errorf("uuid: %d rows, %v", len(rows), err)
		}
		smalls := preparedLoader[smallKeyed](t, db)
		short, err := smalls.Load(t.Context(), []driver.Key{driver.KeyOf(int64(1 << 40)), driver.KeyOf(7), driver.KeyOf("seven")})
		if err != nil || len(short) != 1 {
			t.Errorf("smallint: %d rows, %v", len(short), err)
		}
		texts := preparedLoader[textKeyed](t, db)
		text, err := texts.Load(t.Context(), []driver.Key{driver.KeyOf("a\x00"), driver.KeyOf("\xff"), driver.KeyOf("a")})
		if err != nil || len(text) != 1 {
			t.Errorf("text: %d rows, %v", len(text), err)
		}
		none, err := smalls.Load(t.Context(), []driver.Key{driver.KeyOf("seven")})
		if err != nil || len(none) != 0 {
			t.Errorf("no possible key: %d rows, %v", len(none), err)
		}
		if _, err := smalls.Load(t.Context(), []driver.Key{driver.KeyOf(1, 2)}); err == nil || !strings.Contains(err.Error(), "small_keyed") {
			t.Errorf("key of two columns: error %v", err)
		}
		if _, err := smalls.Load(t.Context(), []driver.Key{"\xfe garbage"}); err == nil {
			t.Error("garbage: no error")
		}
	})
}

// SQLite holds texts that are no UTF-8, contain NUL, and NULL in a key.
func TestOddKeysOfSQLite(t *testing.T) {
	type odd struct {
		bun.BaseModel `bun:"table:odd"`
		ID            *string `bun:"id,pk"`
		Part          int64   `bun:"part,pk"`
	}
	db := loaderSQLite(t)
	mustExec(t, db, "CREATE TABLE odd (id TEXT, part INTEGER, PRIMARY KEY (id, part))")
	mustExec(t, db, "INSERT INTO odd VALUES (NULL, 1), (NULL, 2), (CAST(X'6100' AS TEXT), 1), (CAST(X'ff' AS TEXT), 1), ('NULL', 1)")
	l := preparedLoader[odd](t, db)
	for _, row := range loadAll(t, l) {
		got, err := l.Load(t.Context(), []driver.Key{keyOf(t, l, row)})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || !reflect.DeepEqual(got[0], row) {
			t.Errorf("key %s: read %d rows", keyOf(t, l, row), len(got))
		}
	}
}

func TestKeysUnderACollation(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		db := loaderSQLite(t)
		mustExec(t, db, "CREATE TABLE text_keyed (id TEXT NOT NULL PRIMARY KEY COLLATE NOCASE)")
		testFoldedKeys(t, db)
	})
	t.Run("postgres", func(t *testing.T) {
		db := loaderPostgres(t)
		mustExec(t, db, `CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)
		mustExec(t, db, `CREATE TABLE text_keyed (id text COLLATE folded PRIMARY KEY)`)
		testFoldedKeys(t, db)
	})
}

func testFoldedKeys(t *testing.T, db *bun.DB) {
	t.Helper()
	mustExec(t, db, "INSERT INTO text_keyed VALUES ('Abc')")
	l := preparedLoader[textKeyed](t, db)
	for id, want := range map[string]int{"Abc": 1, "abc": 0, "ABC": 0} {
		rows, err := l.Load(t.Context(), []driver.Key{driver.KeyOf(id)})
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) != want {
			t.Errorf("%q: read %d rows, want %d", id, len(rows), want)
		}
	}
}
