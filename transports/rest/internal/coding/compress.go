package coding

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// zstdWindow is the largest window that HTTP clients must support
	// (RFC 9659), in bytes.
	zstdWindow = 8 << 20
	// brotliQuality is the highest that is not much slower than gzip.
	brotliQuality = 5
	// zstdAtOnce bounds the zstd encoders, and so the memory they keep.
	zstdAtOnce = 4
)

// Brotli comes from andybalholm/brotli, a translation of the reference encoder
// to Go: neither the standard library nor klauspost/compress has one, and
// browsers that lack zstd have brotli.

// zstdEncoder is shared: EncodeAll may be called concurrently, and keeps no
// goroutine.
var zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(zstdAtOnce), zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true))
	if err != nil { // the options are constants
		panic(fmt.Sprintf("coding: making a zstd encoder: %v", err))
	}
	return e
})

var gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

var brotliWriters = sync.Pool{New: func() any { return brotli.NewWriterLevel(nil, brotliQuality) }}

// Compress returns the body in the coding. One build of the program always makes
// the same bytes of the same body, as a strong tag promises.
func Compress(body []byte, c Coding) []byte {
	var out bytes.Buffer
	switch c {
	case Zstd:
		return zstdEncoder().EncodeAll(body, nil)
	case Brotli:
		w := brotliWriters.Get().(*brotli.Writer)
		defer brotliWriters.Put(w)
		w.Reset(&out)
		finish(w.Write(body))
		finish(0, w.Close())
	case Gzip:
		w := gzipWriters.Get().(*gzip.Writer)
		defer gzipWriters.Put(w)
		w.Reset(&out)
		finish(w.Write(body))
		finish(0, w.Close())
	default:
		return body
	}
	return out.Bytes()
}

// finish panics on an error: writing to memory never fails.
func finish(_ int, err error) {
	if err != nil {
		panic(fmt.Sprintf("coding: compressing in memory: %v", err))
	}
}
