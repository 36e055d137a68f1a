package model

import (
	"strings"
	"time"

	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
)

// literalParser returns how the database reads texts as values of a column, where it
// reads more than [value.Parse] does; nil where it does not.
func literalParser(d dialect.Name, declared string, kind value.Kind) func(string) (value.Value, error) {
	switch kind {
	case value.KindInt:
		switch base := exact.BaseType(declared); {
		case d == dialect.SQLite, base == "numeric", base == "double precision", base == "real":
			return parseWholeNumber
		}
		return numberParser(kind)
	case value.KindFloat, value.KindDecimal:
		return numberParser(kind)
	case value.KindTime:
		return parseTime
	}
	if d != dialect.PG {
		return nil
	}
	switch {
	case kind == value.KindBool:
		return parsePGBool
	case kind == value.KindBytes:
		return parsePGBytes
	case kind == value.KindText && declared == "uuid":
		return ParseUUID
	}
	return nil
}

// numberParser reads a number as databases do: blanks around it and a plus sign say
// nothing.
func numberParser(kind value.Kind) func(string) (value.Value, error) {
	return func(text string) (value.Value, error) { return value.Parse(kind, bareNumber(text)) }
}

func bareNumber(text string) string {
	text = strings.Trim(text, " \t\n\v\f\r")
	if digits, ok := strings.CutPrefix(text, "+"); ok && digits != "" && digits[0] != '-' {
		return digits // another plus sign is refused
	}
	return text
}

// parseWholeNumber reads an integer as SQLite's columns of integers do, and columns of
// other numbers on Postgres, which take 7.0 and 7e0 for 7.
func parseWholeNumber(text string) (value.Value, error) {
	text = bareNumber(text)
	v, err := value.Parse(value.KindInt, text)
	if err == nil {
		return v, nil
	}
	number, decErr := value.Parse(value.KindDecimal, text)
	if decErr != nil {
		return v, err
	}
	return value.Convert(number, value.KindInt)
}

// parsePGBool reads a boolean as Postgres does: by a beginning of true, false, yes or
// no that is unique, on, off, 1 and 0.
func parsePGBool(text string) (value.Value, error) {
	word := strings.ToLower(strings.Trim(text, " \t\n\v\f\r"))
	switch {
	case word == "":
	case strings.HasPrefix("true", word), strings.HasPrefix("yes", word), word == "on", word == "1":
		return value.Bool(true), nil
	case strings.HasPrefix("false", word), strings.HasPrefix("no", word), word == "of", word == "off", word == "0":
		return value.Bool(false), nil
	}
	return value.Value{}, driver.Invalid("", ArgumentForm)
}

// parsePGBytes reads bytes in hexadecimal, also as Postgres writes them.
func parsePGBytes(text string) (value.Value, error) {
	return value.Parse(value.KindBytes, strings.TrimPrefix(text, `\x`))
}

// timeLayouts are ways to write a time that [value.Convert] does not read: those of
// ISO 8601 that need neither hyphens nor colons, and dates without leading zeros.
var timeLayouts = []string{
	"2006-01-02 15:04:05Z0700", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02 15:04:05 Z0700", "2006-01-02 15:04:05 Z07:00",
	"20060102", "20060102T150405", "20060102T150405Z07:00", "20060102T150405Z0700", "20060102T150405Z07",
	"2006-1-2", "2006-1-2 15:04:05",
}

// parseTime reads a time as databases and their programs write it: a date alone,
// with a blank for the T, with or without a zone.
func parseTime(text string) (value.Value, error) {
	v, err := value.Convert(value.Text(text), value.KindTime)
	if err == nil {
		return v, nil
	}
	upper := strings.ToUpper(strings.TrimSpace(text)) // RFC 3339 takes t and z, too
	if inUTC, ok := strings.CutSuffix(upper, " UTC"); ok {
		upper = inUTC + "Z"
	}
	if v, err := value.Convert(value.Text(upper), value.KindTime); err == nil {
		return v, nil
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, upper); err == nil {
			return value.Time(t), nil
		}
	}
	return v, err
}
