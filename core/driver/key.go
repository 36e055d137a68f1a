package driver

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/binderyhq/bindery/core/value"
)

// Key is a row's primary key, of one column or several, in one encoded form: two keys are
// equal exactly when their columns are, and keys compared as strings sort as their columns
// do, one by one. A Key is opaque; [Key.Values] decodes it.
type Key string

// KeyOf builds a key from the values of the key columns, in key order. It suits keys of
// integers, text, bytes, booleans and times, whose form does not depend on the column;
// [Schema.MakeKey] suits every key. It panics when a value has a type that no column can
// hold, since that is a programming error.
func KeyOf(values ...any) Key {
	var enc []byte
	for _, v := range values {
		val, err := value.Of(v)
		if err != nil {
			panic(fmt.Sprintf("driver.KeyOf: %v", err))
		}
		enc = val.AppendOrdered(enc)
	}
	return Key(enc)
}

// Values returns the values of the key's columns, in key order. It returns an error when
// the bytes are not an encoded key.
func (k Key) Values() ([]value.Value, error) {
	var vals []value.Value
	rest := []byte(k)
	for len(rest) > 0 {
		v, r, err := value.DecodeOrdered(rest)
		if err != nil {
			return nil, fmt.Errorf("driver: malformed key %q: %w", string(k), err)
		}
		vals, rest = append(vals, v), r
	}
	return vals, nil
}

// Parts returns the text forms of the key's columns; [Schema.ParseKey] reads
// them back.
func (k Key) Parts() []string {
	vals, err := k.Values()
	if err != nil {
		return []string{string(k)}
	}
	parts := make([]string, len(vals))
	for i, v := range vals {
		parts[i] = v.String()
	}
	return parts
}

// String returns the key as it appears in URLs and logs: its parts, each percent-encoded,
// joined by commas.
func (k Key) String() string {
	parts := k.Parts()
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(url.PathEscape(p), ",", "%2C")
	}
	return strings.Join(parts, ",")
}
