package rest

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
)

// keyOf reads a row's key from its part of the path: the key's columns, joined
// by commas, each percent-encoded.
//
// Echo matches routes against URL.RawPath when there is one, so the part is
// still encoded then, and commas and slashes that belong to a column stand as
// %2C and %2F. Without a RawPath the path had no encoding that matters, and the
// part has been decoded: decoding it again would take "%" in a column for an
// escape.
func keyOf(r *http.Request, schema driver.Schema, part string) (driver.Key, bool) {
	if strings.Contains(part, "/") {
		return "", false // Echo gives the last parameter all that follows
	}
	parts := strings.Split(part, ",")
	if r.URL.RawPath != "" {
		for i, p := range parts {
			plain, err := url.PathUnescape(p)
			if err != nil {
				return "", false
			}
			parts[i] = plain
		}
	}
	key, err := schema.ParseKey(parts...)
	return key, err == nil
}

// nameOf reads a binding's name from its part of the path.
func nameOf(r *http.Request, part string) string {
	if r.URL.RawPath != "" {
		if plain, err := url.PathUnescape(part); err == nil {
			return plain
		}
	}
	return part
}
