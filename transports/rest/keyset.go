package rest

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"sort"
	"strconv"

	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// maxCursor bounds a cursor, in bytes: the place of a row is made of its order
// columns and its key.
const maxCursor = 8 << 10

// parseCursor reads what cursorOf made; the empty text stands before all rows. It
// refuses what is no cursor by the checksum, since a place is any text, and any
// other spelling of one.
func parseCursor(text string) (place string, p *problem.Problem) {
	if text == "" {
		return "", nil
	}
	if len(text) <= maxCursor {
		if b, err := base64.RawURLEncoding.DecodeString(text); err == nil && len(b) > crc32.Size && base64.RawURLEncoding.EncodeToString(b) == text {
			sum, place := b[:crc32.Size], b[crc32.Size:]
			if binary.BigEndian.Uint32(sum) == crc32.ChecksumIEEE(place) {
				return string(place), nil
			}
		}
	}
	return "", problem.BadParameter(paramAfter, "must be empty, or what a link to the next page says")
}

// cursorOf returns the row's place as part of a URL, behind its checksum. A page
// after it begins there whatever has become of the row, and of those before it.
func cursorOf(r live.Row) string {
	place := []byte(r.OrderKey())
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(place)), place...))
}

// isKeyset reports whether the binding's rows can be paged by where they stand:
// places are made of what the rows show, and compare on every node.
func isKeyset(v *live.View) bool {
	schema := v.Schema()
	for _, o := range v.Order() {
		i := schema.Column(o.Column)
		if o.Collation != "" || i < 0 || schema.Columns[i].JSON == "" && schema.Columns[i].Path == nil {
			return false
		}
	}
	return true
}

// positionAfter returns the position of the first row behind the place.
func positionAfter(s *live.Snapshot, place string) int {
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

// keysetLinks returns the links of a page that begins at the position: to the
// first, and to the next if there is one.
func keysetLinks(path, params string, s *live.Snapshot, w window) string {
	if params != "" {
		params += "&"
	}
	link := func(cursor, rel string) string {
		return "<" + path + "?" + params + "limit=" + strconv.Itoa(w.limit) + "&after=" + cursor + `>; rel="` + rel + `"`
	}
	links := link("", "first")
	if last := w.offset + w.limit - 1; last < s.Len()-1 {
		for r := range s.Page(last, 1) {
			links += ", " + link(cursorOf(r), "next")
		}
	}
	return links
}
