package coding

import "strings"

// Coding is a content coding.
type Coding uint8

// The codings, in the order in which they are preferred where the client has no
// preference: zstd compresses a body in a fraction of the time of the others,
// and gzip saves least.
const (
	Zstd Coding = iota
	Brotli
	Gzip
	Identity // no compression
	Count    // the number of codings
)

var (
	names    = [Count]string{"zstd", "br", "gzip", "identity"}
	suffixes = [Count]string{"-zstd", "-br", "-gzip", ""}
	headers  = [Count][]string{{"zstd"}, {"br"}, {"gzip"}, nil}
)

// String returns the coding's name in HTTP.
func (c Coding) String() string { return names[c] }

// Suffix returns what the coding adds to the opaque part of an entity tag. Each
// coding of a body is a representation of its own, with its own tag.
func (c Coding) Suffix() string { return suffixes[c] }

// Header returns the value of Content-Encoding, nil for Identity. All answers
// share it, so nobody may modify it.
func (c Coding) Header() []string { return headers[c] }

// Named returns the coding with this name, in any case.
func Named(name string) (Coding, bool) {
	for c, n := range names {
		if strings.EqualFold(n, name) {
			return Coding(c), true
		}
	}
	return Gzip, strings.EqualFold(name, "x-gzip")
}
