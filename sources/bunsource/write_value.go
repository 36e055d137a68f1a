package bunsource

import (
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/dberror"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// checkValues refuses values that the named columns cannot hold, if the
// database would accept them, or would not name the column.
func checkValues(m *model.Model, strct reflect.Value, columns []string) error {
	var problems []driver.FieldError
	for _, name := range columns {
		i := m.Schema.Column(name)
		if detail := problemOf(m, i, m.Columns[i].Read(strct)); detail != "" {
			problems = append(problems, driver.FieldError{Field: m.Schema.Columns[i].JSON, Detail: detail})
		}
	}
	if len(problems) > 0 {
		return &driver.InvalidError{Fields: problems}
	}
	return nil
}

var (
	numericType = regexp.MustCompile(`^(?i:NUMERIC|DECIMAL)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)$`)
	textType    = regexp.MustCompile(`^character(?: varying)?\((\d+)\)$`)
	uuidDigits  = regexp.MustCompile(`^[0-9A-Fa-f]{32}$`)
)

// problemOf says what is wrong with the value for column i, "" if nothing.
func problemOf(m *model.Model, i int, v value.Value) string {
	if v.IsNull() {
		return ""
	}
	text, isText := v.Any().(string)
	isText = isText && v.Kind() != value.KindDecimal
	if isText && strings.ContainsRune(text, 0) {
		return dberror.DetailForm // Bun does not write it
	}
	declared := m.Columns[i].Facts.SQLType
	if declared == "" {
		declared = m.Columns[i].Field.UserSQLType
	}
	declared = strings.TrimSpace(declared)
	if match := numericType.FindStringSubmatch(declared); match != nil {
		return numericProblem(v, match[1], match[2])
	}
	if m.DB.Dialect().Name() != dialect.PG {
		return "" // SQLite does not mind, and MySQL names the column
	}
	switch declared {
	case "smallint":
		return integerProblem(v, 16)
	case "integer":
		return integerProblem(v, 32)
	case "uuid":
		if isText && !uuidDigits.MatchString(strings.ReplaceAll(strings.Trim(text, "{}"), "-", "")) {
			return dberror.DetailForm
		}
	}
	if match := textType.FindStringSubmatch(declared); match != nil && isText {
		// Postgres cuts off blanks beyond the limit.
		if limit, err := strconv.Atoi(match[1]); err == nil && utf8.RuneCountInString(strings.TrimRight(text, " ")) > limit {
			return dberror.DetailTooLong
		}
	}
	return ""
}

// numericProblem refuses numbers with more digits than their column declares.
// SQLite would not.
func numericProblem(v value.Value, precisionText, scaleText string) string {
	precision, _ := strconv.Atoi(precisionText) // digits, and few
	scale, _ := strconv.Atoi(scaleText)         // 0 when there is none
	v, err := value.Convert(v, value.KindFloat)
	if err != nil {
		return "" // the database judges decimals that no float can hold
	}
	f, _ := v.Any().(float64)
	// Rounded to the scale, as it will be stored.
	if limit, unit := math.Pow10(precision-scale), math.Pow10(-scale); math.Abs(f) >= limit-unit/2 {
		return dberror.DetailRange
	}
	return ""
}

func integerProblem(v value.Value, bits int) string {
	n, ok := v.Any().(int64)
	if limit := int64(1) << (bits - 1); ok && (n < -limit || n >= limit) {
		return dberror.DetailRange
	}
	return ""
}
