package content

import (
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/meter"
	"github.com/binderyhq/bindery/transports/rest/internal/coding"
)

// Content is a list, a page or a row in all codings. Its tags are known from the
// beginning; each body is built when it is first asked for. All methods may be
// called from any goroutine.
type Content struct {
	token string
	size  int
	build func() []byte
	etags [coding.Count][]string

	bodies live.Cache   // by coding
	charge *live.Charge // counts the memory of the bodies; nil: the content goes with the answer
	meter  *meter.Meter // counts the bodies that are built; nil: nobody does
	shared bool         // the memory of the plain body is counted elsewhere
}

func newContent(token string, size int, build func() []byte, charge *live.Charge) *Content {
	c := &Content{token: token, size: size, build: build, charge: charge}
	for in := range coding.Count {
		c.etags[in] = []string{`"` + token + in.Suffix() + `"`}
	}
	return c
}

// Row returns the content of a single row. It is not kept beyond the answer.
func Row(r live.Row) *Content {
	size := len(r.JSON()) + 1
	return newContent(r.Token(), size, func() []byte {
		return append(append(make([]byte, 0, size), r.JSON()...), '\n')
	}, nil)
}

// Untagged returns content of a body that has been built, without entity tags. The
// charge counts the bodies that are compressed from it.
func Untagged(body []byte, charge *live.Charge) *Content {
	return &Content{size: len(body), build: func() []byte { return body }, shared: true, charge: charge}
}

// Size returns the length of the plain body in bytes. It builds nothing.
func (c *Content) Size() int { return c.size }

// ETag returns the value of the ETag header for the coding. All answers share it,
// so nobody may modify it.
func (c *Content) ETag(in coding.Coding) []string { return c.etags[in] }

// Body returns the body in the coding. Nobody may modify it.
func (c *Content) Body(in coding.Coding) []byte {
	return live.Memo(&c.bodies, in, func(*live.Charge) []byte {
		if c.meter != nil {
			c.meter.Body()
		}
		if in == coding.Identity {
			b := c.build()
			if !c.shared {
				c.count(b)
			}
			return b
		}
		b := coding.Compress(c.Body(coding.Identity), in)
		c.count(b)
		return b
	})
}

func (c *Content) count(b []byte) {
	if c.charge != nil {
		c.charge.Add(cap(b))
	}
}

// CodingOf returns the coding whose tag has this opaque part. It is false if no
// coding of this content has.
func (c *Content) CodingOf(opaque string) (coding.Coding, bool) {
	n := len(c.token)
	if len(opaque) < n || opaque[:n] != c.token {
		return coding.Identity, false
	}
	for in := range coding.Count {
		if opaque[n:] == in.Suffix() {
			return in, true
		}
	}
	return coding.Identity, false
}
