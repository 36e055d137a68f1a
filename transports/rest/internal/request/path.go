package request

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
)

// Key reads a row's key from its part of the path: the key's columns, joined by
// commas, each percent-encoded. It is false for a part that cannot be a key of the
// schema.
//
// Echo matches routes against URL.RawPath if it is set. Then the part is still
// encoded, and the commas and slashes within a column stand as %2C and %2F. Without a
// RawPath Echo has decoded the part, and to decode it again would take a "%" within
// a column for an escape.
func Key(r *http.Request, schema driver.Schema, part string) (driver.Key, bool) {
	if strings.Contains(part, "/") {
		return "", false // Echo's last parameter includes everything that follows
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

// Name reads a binding's name from its part of the path.
func Name(r *http.Request, part string) string {
	if r.URL.RawPath != "" {
		if plain, err := url.PathUnescape(part); err == nil {
			return plain
		}
	}
	return part
}
