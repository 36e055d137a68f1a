package core

import (
	"encoding/base64"
	"encoding/binary"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"
)

// Version names a snapshot by what it holds.
type Version struct {
	// Token is a hash of the content: letters, digits, "-" and "_", always
	// [TokenLength] long. Two snapshots of one binding have the same token
	// exactly when they hold the same rows, encoded alike, in the same order,
	// on whatever node and in whatever run; tokens of two bindings differ. It
	// serves as strong entity tag and as resume token.
	Token string
	// Seq counts the versions since the program started, from 1. It is for
	// people and metrics and means nothing on another node.
	Seq uint64
	// Modified is when this node saw the content change, or was told so by
	// Touch.
	Modified time.Time
}

// TokenLength is the length of every version token, in bytes.
const TokenLength = 22

// A digest is a 128-bit number that is added modulo 2^128. A version's token
// is the sum of the digests of its rows, so that adding or removing a row is
// one addition: an incremental multiset hash as in Bellare and Micciancio,
// "A New Paradigm for Collision-Free Hashing: Incrementality at Reduced Cost"
// (EUROCRYPT 1997), over a hash that is fast and not cryptographic. Equal
// tokens of different content are an accident of about 2^-64 per pair, but
// somebody who chooses the rows may construct one.
type digest struct{ hi, lo uint64 }

func (d digest) add(o digest) digest {
	lo, carry := bits.Add64(d.lo, o.lo, 0)
	hi, _ := bits.Add64(d.hi, o.hi, carry)
	return digest{hi, lo}
}

func (d digest) sub(o digest) digest {
	lo, borrow := bits.Sub64(d.lo, o.lo, 0)
	hi, _ := bits.Sub64(d.hi, o.hi, borrow)
	return digest{hi, lo}
}

func (d digest) token() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], d.hi)
	binary.BigEndian.PutUint64(b[8:], d.lo)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// digestOf hashes parts so that their boundaries count. The buffer is scratch
// space; the possibly grown buffer is returned for the next call.
func digestOf(buf []byte, parts ...[]byte) (digest, []byte) {
	buf = buf[:0]
	for _, p := range parts {
		buf = binary.AppendUvarint(buf, uint64(len(p)))
		buf = append(buf, p...)
	}
	h := xxh3.Hash128(buf)
	return digest{h.Hi, h.Lo}, buf
}

// A stamp is a time of change together with the HTTP date that stands for it.
// HTTP dates have a resolution of one second (RFC 9110, section 8.8.2), so the
// date is the change rounded up to the next full second and must not be shown
// before that second has come: then no two states share a date, and a date
// that was ever shown is later than the state it belongs to and not later than
// any other.
type stamp struct {
	modified time.Time
	date     time.Time
	shown    atomic.Bool
}

// newStamp returns the stamp of a change at now, later than prev (which may be
// nil), also when the clock was set back in between.
func newStamp(now time.Time, prev *stamp) *stamp {
	now = now.UTC()
	s := &stamp{modified: now, date: now.Truncate(time.Second).Add(time.Second)}
	if prev == nil {
		return s
	}
	if s.modified.Before(prev.modified) {
		s.modified = prev.modified
	}
	if s.date.Before(prev.date) || s.date.Equal(prev.date) {
		s.date = prev.date
		if prev.shown.Load() {
			s.date = prev.date.Add(time.Second)
		}
	}
	return s
}

// httpDate returns the date to show at now, and false as long as none may be
// shown.
func (s *stamp) httpDate(now time.Time) (time.Time, bool) {
	if now.Before(s.date) {
		return time.Time{}, false
	}
	s.shown.Store(true)
	return s.date, true
}
