package rest

import (
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/meter"
)

// content is one representation, in all codings: a tag that is known at once
// and bodies that are built when they are first asked for. It may be used from
// any goroutine.
type content struct {
	token string
	size  int // of the plain body in bytes, without building it
	build func() []byte
	etags [codings][]string // header values, shared by all answers

	bodies live.Cache   // by coding
	charge *live.Charge // what the bodies are counted to; nil: they are not kept for long
	built  *meter.Meter // counts the bodies that are built; nil: nobody does
	shared bool         // the plain body is counted elsewhere
}

func newContent(token string, size int, build func() []byte, charge *live.Charge) *content {
	c := &content{token: token, size: size, build: build, charge: charge}
	for i, suffix := range suffixes {
		c.etags[i] = []string{`"` + token + suffix + `"`}
	}
	return c
}

// body returns the body in the coding. Nobody modifies it.
func (c *content) body(in coding) []byte {
	return live.Memo(&c.bodies, in, func(*live.Charge) []byte {
		if c.built != nil {
			c.built.Body()
		}
		if in == identity {
			b := c.build()
			if !c.shared {
				c.count(b)
			}
			return b
		}
		b := compress(c.body(identity), in)
		c.count(b)
		return b
	})
}

func (c *content) count(b []byte) {
	if c.charge != nil {
		c.charge.Add(cap(b))
	}
}

// codingOf returns the coding whose tag this is, and false when it is none of
// this content's.
func (c *content) codingOf(opaque string) (coding, bool) {
	n := len(c.token)
	if len(opaque) < n || opaque[:n] != c.token {
		return identity, false
	}
	for in, suffix := range suffixes {
		if opaque[n:] == suffix {
			return coding(in), true
		}
	}
	return identity, false
}
