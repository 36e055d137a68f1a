package sqlgen

import (
	"fmt"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/filter"
)

// ColumnMark stands for the column in conditions that are written as a whole.
const ColumnMark = "{column}"

// SQLite has no type for times: programs store texts, each in its own form and
// zone. Its functions read most of them, but round to the millisecond. So the seconds
// are read from the text without its fraction, and the fraction separately.
var (
	// sqliteZone is what follows the fraction: Go writes " +0200 CEST" and
	// Postgres "+02" where SQLite reads "+02:00".
	sqliteZone = withRest("CASE WHEN {zone} GLOB ' [+-][0-9][0-9][0-9][0-9]*' THEN substr({zone}, 2, 3) || ':' || substr({zone}, 5, 2)" +
		" WHEN {zone} GLOB '[+-][0-9][0-9]' THEN {zone} || ':00'" +
		" WHEN {zone} GLOB '[+-][0-9][0-9][0-9][0-9]' THEN substr({zone}, 1, 3) || ':' || substr({zone}, 4) ELSE {zone} END")
	sqliteHasSeconds = "substr({column}, 17, 1) = ':'"
	SQLiteSecond     = "CAST(strftime('%s', CASE WHEN " + sqliteHasSeconds + " THEN substr({column}, 1, 19) || " + sqliteZone + " ELSE {column} END) AS INTEGER)"
	SQLiteFraction   = "CASE WHEN " + sqliteHasSeconds + " THEN CAST(round(CAST('0' || substr({column}, 20) AS REAL) * 1e9) AS INTEGER) ELSE 0 END"
)

func withRest(expr string) string {
	return strings.ReplaceAll(expr, "{zone}", "ltrim(substr({column}, 20), '.0123456789')")
}

// sqliteTimeIs returns a condition on a column of times. It compares instants in any
// form, to the nanosecond, and is unknown for NULL. A text that is no time equals
// none, and comparing its order is unknown.
func sqliteTimeIs(op filter.Op, t time.Time) string {
	t = t.UTC()
	second, fraction := t.Unix(), t.Nanosecond()
	switch op {
	case filter.OpEq, filter.OpNe:
		// In any zone the text begins with a date at most one day away. This lets
		// SQLite use an index.
		equal := fmt.Sprintf("({column} >= '%s' AND {column} < '%s' AND coalesce((%s, %s) = (%d, %d), {column} IS NULL AND NULL))",
			t.AddDate(0, 0, -1).Format(time.DateOnly), t.AddDate(0, 0, 2).Format(time.DateOnly), SQLiteSecond, SQLiteFraction, second, fraction)
		if t.Year() < 1 || t.Year() > 9998 {
			equal = "({column} IN (" + strings.Join(sqliteTimes(t), ", ") + "))"
		}
		if op == filter.OpNe {
			return "(NOT " + equal + ")"
		}
		return equal
	}
	return fmt.Sprintf("((%s, %s) %s (%d, %d))", SQLiteSecond, SQLiteFraction, op, second, fraction)
}
