package exact

import (
	"strings"
)

// Affinity says how SQLite converts values that are stored in a column.
type Affinity uint8

const (
	AffinityBlob Affinity = iota // not at all
	AffinityText
	AffinityNumeric
	AffinityInteger
	AffinityReal
)

// SQLiteAffinity returns the affinity that follows from a declared type, by
// the rules of SQLite's documentation, in their order.
func SQLiteAffinity(sqlType string) Affinity {
	t := strings.ToUpper(sqlType)
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(t, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("INT"):
		return AffinityInteger
	case has("CHAR", "CLOB", "TEXT"):
		return AffinityText
	case has("BLOB") || t == "":
		return AffinityBlob
	case has("REAL", "FLOA", "DOUB"):
		return AffinityReal
	default:
		return AffinityNumeric
	}
}
