// Package digest has the two small sums that versions are made of: a 128-bit
// hash that is added up over rows, and the HTTP date of a change.
package digest

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"

	"github.com/zeebo/xxh3"
)

// Sum is a 128-bit number that is added modulo 2^128. A version's token is the
// sum of the digests of its rows, so that adding or removing a row is one
// addition: an incremental multiset hash as in Bellare and Micciancio, "A New
// Paradigm for Collision-Free Hashing: Incrementality at Reduced Cost"
// (EUROCRYPT 1997), over a hash that is fast and not cryptographic. Equal
// tokens of different content are an accident of about 2^-64 per pair, but
// somebody who chooses the rows may construct one.
type Sum struct{ hi, lo uint64 }

// Add returns the sum of both.
func (d Sum) Add(o Sum) Sum {
	lo, carry := bits.Add64(d.lo, o.lo, 0)
	hi, _ := bits.Add64(d.hi, o.hi, carry)
	return Sum{hi, lo}
}

// Sub returns what o must be added to for d.
func (d Sum) Sub(o Sum) Sum {
	lo, borrow := bits.Sub64(d.lo, o.lo, 0)
	hi, _ := bits.Sub64(d.hi, o.hi, borrow)
	return Sum{hi, lo}
}

// Bytes returns the sum in big-endian order.
func (d Sum) Bytes() (b [16]byte) {
	binary.BigEndian.PutUint64(b[:8], d.hi)
	binary.BigEndian.PutUint64(b[8:], d.lo)
	return b
}

// From returns the sum of which [Sum.Bytes] has returned b.
func From(b [16]byte) Sum {
	return Sum{hi: binary.BigEndian.Uint64(b[:8]), lo: binary.BigEndian.Uint64(b[8:])}
}

// TokenLength is the length of every token, in bytes.
const TokenLength = 22

// Token returns the sum as text: letters, digits, "-" and "_".
func (d Sum) Token() string {
	b := d.Bytes()
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Parse returns the sum that [Sum.Token] has written.
func Parse(token string) (Sum, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != 16 {
		return Sum{}, fmt.Errorf("%q is no token", token)
	}
	return From([16]byte(b)), nil
}

// scratch keeps the buffers that Of joins its parts in.
var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// maxScratch bounds the buffers that are kept, in bytes.
const maxScratch = 64 << 10

// Of hashes the parts so that their boundaries count.
func Of(parts ...[]byte) Sum {
	kept := scratch.Get().(*[]byte)
	buf := (*kept)[:0]
	for _, p := range parts {
		buf = binary.AppendUvarint(buf, uint64(len(p)))
		buf = append(buf, p...)
	}
	h := xxh3.Hash128(buf)
	if cap(buf) <= maxScratch {
		*kept = buf
		scratch.Put(kept)
	}
	return Sum{h.Hi, h.Lo}
}
