package paging

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"sort"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/binderyhq/bindery/core/live"
)

// A cursor is base64url of a checksum and a place. A place is the order key of a row,
// which is made of the row's order columns and its key. Any bytes could be a place, so
// the checksum tells a cursor from other text.
//
// A long order key (a row ordered by a text of many kilobytes) is cut: its place is its
// first bytes and a digest of the whole key. The checksum of such a place is inverted.
const (
	// maxWhole bounds an order key that a cursor holds whole, in bytes. Proxies and
	// servers pass on URLs of at least 2,000 characters, and header fields of 4 KiB
	// in answers; a longer cursor would be a link that leads nowhere behind them.
	maxWhole = 1400

	digestSize = 16
	maxCursor  = (crc32.Size + maxWhole + digestSize + 2) / 3 * 4 // characters
)

// Place is where a page begins: after a row, which may have gone since. The zero value
// is the beginning of the list.
type Place struct {
	start  string // the row's order key, or its first maxWhole bytes
	digest string // of the whole order key, "" if start is whole
}

func placeOf(r live.Row) Place {
	key := r.OrderKey()
	if len(key) <= maxWhole {
		return Place{start: key}
	}
	return Place{start: key[:maxWhole], digest: digestOf(key)}
}

func digestOf(orderKey string) string {
	sum := xxh3.HashString128(orderKey).Bytes()
	return string(sum[:])
}

// Cursor returns the row's place in the binding's order as text for a URL. The page
// after it begins there even if the row, or rows before it, are deleted.
func Cursor(r live.Row) string {
	p := placeOf(r)
	place := []byte(p.start + p.digest)
	sum := crc32.ChecksumIEEE(place)
	if p.digest != "" {
		sum = ^sum
	}
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, sum), place...))
}

// ParseCursor returns the place that [Cursor] encoded. The empty text stands for the
// beginning of the list. ok is false for any other text, and for other spellings of a
// cursor.
func ParseCursor(text string) (p Place, ok bool) {
	if text == "" {
		return Place{}, true
	}
	if len(text) > maxCursor {
		return Place{}, false
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) <= crc32.Size || base64.RawURLEncoding.EncodeToString(b) != text {
		return Place{}, false
	}
	place := string(b[crc32.Size:])
	switch sum := crc32.ChecksumIEEE([]byte(place)); binary.BigEndian.Uint32(b) {
	case sum:
		return Place{start: place}, len(place) <= maxWhole
	case ^sum:
		return Place{place[:min(maxWhole, len(place))], place[min(maxWhole, len(place)):]}, len(place) == maxWhole+digestSize
	}
	return Place{}, false
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

// OffsetAfter returns the offset of the first row after the place. If the order key was
// cut and its row has gone, the page begins with the first row whose order key begins
// alike: such rows may be shown twice, and none is passed over.
func OffsetAfter(s *live.Snapshot, p Place) int {
	if p == (Place{}) {
		return 0
	}
	if p.digest == "" {
		return search(s, func(key string) bool { return key > p.start })
	}
	first := search(s, func(key string) bool { return key >= p.start })
	i := first
	for r := range s.Page(first, s.Len()-first) {
		key := r.OrderKey()
		if !strings.HasPrefix(key, p.start) {
			break
		}
		i++
		if digestOf(key) == p.digest {
			return i
		}
	}
	return first
}

// search returns the offset of the first row whose order key is one that the function
// says true of. It says true of every later one as well.
func search(s *live.Snapshot, is func(orderKey string) bool) int {
	return sort.Search(s.Len(), func(i int) bool {
		for r := range s.Page(i, 1) {
			return is(r.OrderKey())
		}
		return true
	})
}
