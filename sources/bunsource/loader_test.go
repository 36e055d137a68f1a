package bunsource

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/sourcetest/buntest"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// Plain databases, without Bindery's driver wrapper: the loader must not need it.

func loaderSQLite(t testing.TB, params ...string) *bun.DB {
	t.Helper()
	params = append(params, "_pragma=busy_timeout(5000)")
	sqldb, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "test.db")+"?"+strings.Join(params, "&"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sqldb.Close() })
	return bun.NewDB(sqldb, sqlitedialect.New())
}

const walMode = "_pragma=journal_mode(WAL)"

func loaderPostgres(t testing.TB, clauses ...string) *bun.DB {
	t.Helper()
	sqldb, err := sql.Open("pgx", pgtest.Shared(t).CreateDatabase(t, clauses...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sqldb.Close() })
	return bun.NewDB(sqldb, pgdialect.New())
}

// eachDatabase runs a test on every database that a loader is promised to work
// with.
func eachDatabase(t *testing.T, test func(t *testing.T, db *bun.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, loaderSQLite(t, walMode)) })
	t.Run("postgres", func(t *testing.T) { test(t, loaderPostgres(t)) })
}

func mustExec(t testing.TB, db *bun.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// createTable makes the table of a model and fills it.
func createTable[T any](t testing.TB, db *bun.DB, rows ...T) {
	t.Helper()
	if _, err := db.NewCreateTable().Model((*T)(nil)).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(rows) > 0 {
		if _, err := db.NewInsert().Model(&rows).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func preparedLoader[T any](t testing.TB, db *bun.DB) *Loader[T] {
	t.Helper()
	l := NewLoader[T](db)
	if err := l.refine(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

func loadAll[T any](t testing.TB, l *Loader[T]) []*T {
	t.Helper()
	rows, err := l.Load(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// keyOf builds a row's key as the engine does, from the public methods.
func keyOf[T any](t testing.TB, l *Loader[T], row *T) driver.Key {
	t.Helper()
	s, err := l.Schema()
	if err != nil {
		t.Fatal(err)
	}
	vals := make([]any, len(s.Key))
	for i, k := range s.Key {
		vals[i] = l.Value(row, s.Column(k))
	}
	key, err := s.MakeKey(vals...)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

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
	cond, err := m.rowCondition(key)
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
	m.normalise(reflect.ValueOf(got[0]).Elem())
	if !reflect.DeepEqual(got[0], row) {
		t.Errorf("%s: read %+v, want %+v", cond, *got[0], *row)
	}
}

func TestKeysComeBackExactly(t *testing.T) {
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

func TestLoadInBatches(t *testing.T) {
	type pair struct {
		bun.BaseModel `bun:"table:pairs"`
		A             int64  `bun:",pk"`
		B             string `bun:",pk"`
	}
	// A statement takes 32,766 parameters in SQLite, and 65,535 in Postgres.
	n, pairCount := 35_000, 33_000
	if buntest.Long() {
		n, pairCount = 100_000, 40_000
	}
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		db.SetMaxOpenConns(1) // several statements must not need several connections
		createTable[intKeyed](t, db)
		createTable[pair](t, db)
		mustExec(t, db, `INSERT INTO "Int Keyed" WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s WHERE n < ?) SELECT n*2 FROM s`, n)
		mustExec(t, db, `INSERT INTO pairs WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s WHERE n < ?) SELECT n, 'b' || n FROM s`, pairCount)
		ints := preparedLoader[intKeyed](t, db)
		pairs := preparedLoader[pair](t, db)
		counts := []int{1, pairCount}
		if buntest.Long() {
			counts = append(counts, n)
		}
		for _, count := range counts {
			intKeys, pairKeys := make([]driver.Key, count), make([]driver.Key, count)
			for i := range count {
				intKeys[i] = driver.KeyOf(i + 2) // every other one exists
				pairKeys[i] = driver.KeyOf(i+1, fmt.Sprintf("b%d", i+1))
			}
			rows, err := ints.Load(t.Context(), intKeys)
			if err != nil {
				t.Fatal(err)
			}
			if want := (count + 1) / 2; len(rows) != want {
				t.Errorf("%d keys: read %d rows, want %d", count, len(rows), want)
			}
			if count > pairCount {
				continue
			}
			two, err := pairs.Load(t.Context(), pairKeys)
			if err != nil {
				t.Fatal(err)
			}
			if len(two) != count {
				t.Errorf("%d composite keys: read %d rows", count, len(two))
			}
		}
		// Limited, over several statements: the first of all of them.
		keys := make([]driver.Key, n)
		for i := range keys {
			keys[i] = driver.KeyOf(i + 1)
		}
		rows, err := ints.Query(t.Context(), driver.Query{Keys: keys, Limit: 3, Order: []driver.Order{{Column: "id", Desc: true}}})
		if err != nil {
			t.Fatal(err)
		}
		var ids []int64
		for _, r := range rows {
			ids = append(ids, r.ID)
		}
		if !slices.Equal(ids, []int64{int64(n), int64(n) - 2, int64(n) - 4}) {
			t.Errorf("the last three of many keys: %v", ids)
		}
	})
}

// The statements that one Load takes show one state of the database.
func TestBatchesAreOfOneMoment(t *testing.T) {
	type account struct {
		bun.BaseModel `bun:"table:accounts"`
		ID            int64 `bun:",pk"`
		Amount        int64 `bun:",notnull"`
	}
	const n = 50
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		rows := make([]account, n)
		keys := make([]driver.Key, n)
		for i := range rows {
			rows[i].ID = int64(i)
			keys[i] = driver.KeyOf(i)
		}
		createTable(t, db, rows...)
		l := preparedLoader[account](t, db)
		m, _ := l.model()
		small := *m
		small.limits.params = 5
		l.refined.Store(&small)
		if batches, err := small.keyBatches(keys); err != nil || len(batches) != 10 {
			t.Fatalf("%d batches, %v", len(batches), err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			for ctx.Err() == nil {
				_, err := db.NewRaw("UPDATE accounts SET amount = CASE WHEN id = ? THEN amount - 1 ELSE amount + 1 END WHERE id IN (?, ?)",
					0, 0, n-1).Exec(context.WithoutCancel(ctx))
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		for range 100 {
			rows, err := l.Load(t.Context(), keys)
			if err != nil {
				t.Error(err)
				break
			}
			sum := int64(0)
			for _, r := range rows {
				sum += r.Amount
			}
			if sum != 0 || len(rows) != n {
				t.Errorf("%d rows with a total of %d: of different moments", len(rows), sum)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// Few long keys fill a statement as many short ones do.
func TestBatchesAreBoundedInBytes(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		createTable[textKeyed](t, db)
		m, err := preparedLoader[textKeyed](t, db).model()
		if err != nil {
			t.Fatal(err)
		}
		var keys []driver.Key
		for i := range 10 {
			keys = append(keys, driver.KeyOf(strings.Repeat(string(rune('a'+i)), m.limits.bytes/4)))
		}
		batches, err := m.keyBatches(keys)
		if err != nil || len(batches) != 3 {
			t.Errorf("%d batches, %v; want 3", len(batches), err)
		}
	})
}

func TestSoftDeletedRowsAreNotThere(t *testing.T) {
	type note struct {
		bun.BaseModel `bun:"table:notes,alias:n"`
		ID            int64     `bun:",pk"`
		Text          string    `bun:",notnull"`
		DeletedAt     time.Time `bun:",soft_delete,nullzero"`
	}
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		createTable(t, db, note{ID: 1, Text: "a"}, note{ID: 2, Text: "b"}, note{ID: 3, Text: "c"})
		if _, err := db.NewDelete().Model(&note{ID: 2}).WherePK().Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		l := preparedLoader[note](t, db)
		ids := func(q driver.Query) string {
			t.Helper()
			rows, err := l.Query(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			var ids []int64
			for _, r := range rows {
				ids = append(ids, r.ID)
			}
			slices.Sort(ids)
			return fmt.Sprint(ids)
		}
		either := newCondition(func(q *bun.SelectQuery) *bun.SelectQuery {
			return q.Where("?TableAlias.text = 'a'").WhereOr("?TableAlias.text = ?", "b")
		})
		trash := newCondition((*bun.SelectQuery).WhereDeleted)
		all := newCondition((*bun.SelectQuery).WhereAllWithDeleted)
		keys := []driver.Key{driver.KeyOf(2), driver.KeyOf(3)}
		for _, c := range []struct {
			name string
			q    driver.Query
			want string
		}{
			{"all", driver.Query{}, "[1 3]"},
			{"by key", driver.Query{Keys: keys}, "[3]"},
			{"by filter", driver.Query{Filter: filter.Eq("text", "b")}, "[]"},
			{"an OR", driver.Query{Where: either}, "[1]"},
			{"an OR, by key", driver.Query{Where: either, Keys: keys}, "[]"},
			{"an OR, by key and filter", driver.Query{Where: either, Keys: []driver.Key{driver.KeyOf(1), driver.KeyOf(3)}, Filter: filter.Eq("text", "a")}, "[1]"},
			{"the deleted", driver.Query{Where: trash}, "[2]"},
			{"the deleted, by key", driver.Query{Where: trash, Keys: keys}, "[2]"},
			{"with the deleted", driver.Query{Where: all}, "[1 2 3]"},
		} {
			if got := ids(c.q); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		}
	})
}

func TestTimesAreInUTC(t *testing.T) {
	type Inner struct{ Seen time.Time }
	type event struct {
		bun.BaseModel `bun:"table:events"`
		ID            int64 `bun:",pk"`
		At            time.Time
		Maybe         *time.Time
		Null          bun.NullTime
		SQLNull       sql.NullTime
		*Inner
		Nested Inner `bun:"embed:nested_"`
	}
	at := time.Date(2024, 7, 1, 12, 0, 0, 0, time.FixedZone("CEST", 7200))
	utc := at.UTC()
	check := func(t *testing.T, e *event) {
		t.Helper()
		for name, got := range map[string]time.Time{"At": e.At, "Maybe": *e.Maybe, "Null": e.Null.Time, "SQLNull": e.SQLNull.Time, "Inner": e.Seen, "Nested": e.Nested.Seen} {
			if got != utc { // == compares the location too
				t.Errorf("%s is %v, want %v", name, got, utc)
			}
		}
	}
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		db.SetMaxOpenConns(1)
		if db.Dialect().Name() == dialect.PG {
			mustExec(t, db, "SET TIME ZONE 'Asia/Tokyo'")
		}
		createTable(t, db, event{ID: 1, At: at, Maybe: &at, Null: bun.NullTime{Time: at}, SQLNull: sql.NullTime{Time: at, Valid: true}, Inner: &Inner{at}, Nested: Inner{at}}, event{ID: 2})
		if db.Dialect().Name() == dialect.SQLite {
			mustExec(t, db, "UPDATE events SET at = '2024-07-01 12:00:00+02:00', maybe = '2024-07-01T12:00:00+02:00' WHERE id = 1")
		}
		l := preparedLoader[event](t, db)
		rows, err := l.Load(t.Context(), []driver.Key{driver.KeyOf(1)})
		if err != nil || len(rows) != 1 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		check(t, rows[0])
		s, _ := l.Schema()
		if v := l.Value(rows[0], s.Column("at")); v != value.Time(at) {
			t.Errorf("value of at: %v", v)
		}
		if rows, err = l.Load(t.Context(), []driver.Key{driver.KeyOf(2)}); err != nil || len(rows) != 1 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		for _, c := range []string{"maybe", "null", "sql_null"} {
			if v := l.Value(rows[0], s.Column(c)); !v.IsNull() {
				t.Errorf("value of %s: %v, want NULL", c, v)
			}
		}
	})
}

// A resolver sends selects to a replica, which may lag behind what is reported.
type replicaResolver struct{ t *testing.T }

func (r replicaResolver) ResolveConn(context.Context, bun.Query) bun.IConn {
	r.t.Error("a read went to the replica")
	return nil
}
func (replicaResolver) Close() error { return nil }

func TestReadsGoToThePrimary(t *testing.T) {
	plain := loaderSQLite(t)
	createTable(t, plain, intKeyed{ID: 1})
	db := bun.NewDB(plain.DB, sqlitedialect.New(), bun.WithConnResolver(replicaResolver{t}))
	l := preparedLoader[intKeyed](t, db)
	if rows := loadAll(t, l); len(rows) != 1 {
		t.Errorf("%d rows", len(rows))
	}
}

func TestLoadErrorsNameTheTable(t *testing.T) {
	db := loaderSQLite(t)
	l := NewLoader[intKeyed](db)
	for name, call := range map[string]func() error{
		"Load":    func() error { _, err := l.Load(t.Context(), nil); return err },
		"Prepare": func() error { return l.refine(t.Context()) },
		"order": func() error {
			_, err := l.Query(t.Context(), driver.Query{Limit: 1, Order: []driver.Order{{Column: "nope"}}})
			return err
		},
		"a stray": func() error { _, err := l.Query(t.Context(), driver.Query{Where: strayCondition{}}); return err },
		"Where":   func() error { _, err := l.Query(t.Context(), driver.Query{Where: newCondition(nil)}); return err },
	} {
		err := call()
		if err == nil || !strings.HasPrefix(err.Error(), "bunsource: ") || !strings.Contains(err.Error(), `"Int Keyed"`) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	type track struct {
		bun.BaseModel `bun:"table:tracks"`
		ID            int64     `bun:",pk"`
		Name          string    `bun:",notnull"`
		Price         int64     `bun:",notnull"`
		Added         time.Time `bun:",notnull"`
	}
	for _, backend := range []struct {
		name string
		open func(b *testing.B) *bun.DB
	}{
		{"sqlite", func(b *testing.B) *bun.DB { return loaderSQLite(b, walMode) }},
		{"postgres", func(b *testing.B) *bun.DB { return loaderPostgres(b) }},
	} {
		b.Run(backend.name, func(b *testing.B) {
			db := backend.open(b)
			rows := make([]track, 10_000)
			for i := range rows {
				rows[i] = track{ID: int64(i), Name: fmt.Sprintf("track %d", i), Price: 99, Added: time.Now()}
			}
			createTable(b, db, rows...)
			l := preparedLoader[track](b, db)
			for _, n := range []int{1, 100} {
				b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
					keys := make([]driver.Key, n)
					b.ReportAllocs()
					i := 0
					for b.Loop() {
						for j := range keys {
							keys[j] = driver.KeyOf((i*n + j*97) % len(rows))
						}
						i++
						if _, err := l.Load(b.Context(), keys); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}

// strayCondition is a condition of another loader's.
type strayCondition struct{}

func (strayCondition) String() string  { return "7" }
func (strayCondition) Validate() error { return nil }
