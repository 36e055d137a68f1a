package value

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// String returns the value as text for URLs and logs, which [Parse] reads back: true and
// false; numbers in decimal, with an exponent where they would be long; NaN, Infinity and
// -Infinity; texts and opaque values as they are; bytes in lower-case hexadecimal; times as
// RFC 3339 in UTC with as many digits of nanoseconds as needed (years outside 0 to 9999
// with a sign, as in ISO 8601). NULL is "null".
func (v Value) String() string {
	switch v.kind {
	case KindBool:
		return strconv.FormatBool(v.num != 0)
	case KindInt:
		return strconv.FormatInt(int64(v.num), 10)
	case KindFloat:
		return formatFloat(v.float())
	case KindDecimal:
		return v.decimalString()
	case KindText, KindOpaque:
		return v.str
	case KindBytes:
		return hex.EncodeToString([]byte(v.str))
	case KindTime:
		return formatTime(v.time())
	default:
		return "null"
	}
}

// Parse reads a value of the kind from text, strictly: it is the inverse of [Value.String],
// and accepts no white space, no "+7" and no empty number. Beyond what String writes it
// accepts "1" and "0" as booleans, other spellings of a number, upper-case hexadecimal, and
// RFC 3339 times in any zone. Floats are rounded to the nearest float64; overflow is an
// error. The only text for KindNull is "null". The error names text and kind.
func Parse(k Kind, s string) (Value, error) {
	v, err := parse(k, s)
	if err != nil {
		return Value{}, problem("parsing", k, s, err)
	}
	return v, nil
}

func parse(k Kind, s string) (Value, error) {
	switch k {
	case KindNull:
		if s != "null" {
			return Value{}, errors.New(`NULL is spelled "null"`)
		}
		return Value{}, nil
	case KindBool:
		return parseBool(s)
	case KindInt:
		return parseInt(s)
	case KindFloat:
		return parseFloat(s)
	case KindDecimal:
		if strings.HasPrefix(s, "+") {
			return Value{}, errNoDecimal
		}
		return parseDecimal(s)
	case KindText:
		return Text(s), nil
	case KindOpaque:
		return opaque(s), nil
	case KindBytes:
		b, err := hex.DecodeString(s)
		if err != nil {
			return Value{}, errors.New("not hexadecimal")
		}
		return Bytes(b), nil
	case KindTime:
		t, err := parseRFC3339(s)
		if err != nil {
			return Value{}, err
		}
		return Time(t), nil
	default:
		return Value{}, errors.New("no such kind")
	}
}

func parseBool(s string) (Value, error) {
	switch s {
	case "true", "1":
		return Bool(true), nil
	case "false", "0":
		return Bool(false), nil
	}
	return Value{}, errors.New("neither true nor false")
}

func parseInt(s string) (Value, error) {
	if strings.HasPrefix(s, "+") {
		return Value{}, errors.New("not an integer")
	}
	i, err := strconv.ParseInt(s, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return Value{}, errors.New("beyond 64 bits")
	case err != nil:
		return Value{}, errors.New("not an integer")
	}
	return Int(i), nil
}

func parseFloat(s string) (Value, error) {
	if strings.HasPrefix(s, "+") {
		return Value{}, errors.New("not a number")
	}
	// Checking for decimal form excludes spellings that only Go accepts: hexadecimal floats
	// and underscores.
	if d, err := parseDecimal(s); err == nil {
		switch d.aux {
		case decNegInf, decPosInf, decNaN:
			f, _ := d.decimalToFloat()
			return Float(f), nil
		}
	} else if errors.Is(err, errNoDecimal) {
		return Value{}, errors.New("not a number")
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return Value{}, errors.New("beyond the range of a float64")
	}
	return Float(f), nil
}

func formatFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

const (
	// maxYear bounds the years that Parse accepts, far beyond those of databases.
	maxYear = 999_999_999
	// ISO 8601's expanded years are read and written by way of a year among these 400 with
	// the same length and weekdays.
	cycle, cycleStart = 400, 2000
)

func formatTime(t time.Time) string {
	year := t.Year()
	if year >= 0 && year <= 9999 {
		return t.Format(time.RFC3339Nano)
	}
	return fmt.Sprintf("%+05d", year) + inCycle(t, year).Format(time.RFC3339Nano)[4:]
}

func parseRFC3339(s string) (time.Time, error) {
	if s == "" || (s[0] != '+' && s[0] != '-') {
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return time.Time{}, errors.New("not a time as in RFC 3339")
		}
		return t, nil
	}
	digits, rest := leadingDigits(s[1:])
	year, err := strconv.Atoi(digits)
	if err != nil || len(digits) < 4 || year > maxYear {
		return time.Time{}, errors.New("not a year")
	}
	if s[0] == '-' {
		year = -year
	}
	same := cycleStart + ((year%cycle)+cycle)%cycle
	t, err := time.Parse(time.RFC3339Nano, strconv.Itoa(same)+rest)
	if err != nil {
		return time.Time{}, errors.New("not a time as in RFC 3339")
	}
	t = t.UTC()
	return movedYears(t, year-same), nil
}

func inCycle(t time.Time, year int) time.Time {
	return movedYears(t, cycleStart+((year%cycle)+cycle)%cycle-year)
}

// movedYears moves a UTC time by a multiple of 400 years.
func movedYears(t time.Time, years int) time.Time {
	return time.Date(t.Year()+years, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// sqlLayouts are the formats in which databases and their drivers write times. Without a
// zone they are in UTC. A fraction of a second is accepted wherever a layout has seconds.
var sqlLayouts = []string{
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05Z07",
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05",
	"2006-01-02 15:04:05 -0700 MST", // time.Time's String, as some drivers store it
	"2006-01-02 15:04Z07:00",
	"2006-01-02T15:04Z07:00",
	"2006-01-02 15:04",
	"2006-01-02T15:04",
	"2006-01-02",
}

func parseSQLTime(s string) (time.Time, error) {
	t, err := parseRFC3339(s)
	if err == nil {
		return t, nil
	}
	for _, layout := range sqlLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("not a time as in RFC 3339 or SQL")
}

// problem formats all errors of this package. It cuts long texts, since a value may be a
// whole document.
func problem(doing string, k Kind, s string, cause error) error {
	const most = 64
	if len(s) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return fmt.Errorf("value: %s %q as %s: %w", doing, s, k, cause)
}
