package paging

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"sort"

	"github.com/binderyhq/bindery/core/live"
)

// maxCursor bounds a cursor, in bytes. A cursor is made of a checksum, the row's order
// columns and its key.
const maxCursor = 8 << 10

// Cursor returns the row's place in the binding's order as text for a URL. The page
// after it begins there even if the row, or rows before it, are deleted.
func Cursor(r live.Row) string {
	place := []byte(r.OrderKey())
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(place)), place...))
}

// ParseCursor returns the place that [Cursor] encoded, "" for the empty text, which
// stands for the beginning of the list. It is false for any other text, and for other
// spellings of a cursor. Any bytes could be a place, so the checksum tells.
func ParseCursor(text string) (place string, ok bool) {
	if text == "" {
		return "", true
	}
	if len(text) > maxCursor {
		return "", false
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) <= crc32.Size || base64.RawURLEncoding.EncodeToString(b) != text {
		return "", false
	}
	place = string(b[crc32.Size:])
	return place, binary.BigEndian.Uint32(b) == crc32.ChecksumIEEE([]byte(place))
}

// HasCursors reports whether the rows of the binding can be paged by cursors. They
// can if rows show all columns of the order, and Go compares these as the database
// does.
func HasCursors(v *live.View) bool {
	schema := v.Schema()
	for _, o := range v.Order() {
		i := schema.Column(o.Column)
		if o.Collation != "" || i < 0 || schema.Columns[i].JSON == "" && schema.Columns[i].Path == nil {
			return false
		}
	}
	return true
}

// OffsetAfter returns the offset of the first row after the place.
func OffsetAfter(s *live.Snapshot, place string) int {
	if place == "" {
		return 0
	}
	return sort.Search(s.Len(), func(i int) bool {
		for r := range s.Page(i, 1) {
			return r.OrderKey() > place
		}
		return true
	})
}
