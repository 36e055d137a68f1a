package rest

import "sync"

// content is one representation, in all codings: a tag that is known at once
// and bodies that are built when they are first asked for. It may be used from
// any goroutine.
type content struct {
	token string
	size  int // of the plain body in bytes, without building it
	build func() []byte
	etags [codings][]string // header values, shared by all answers

	bodies [codings]struct {
		once  sync.Once
		bytes []byte
	}
}

func newContent(token string, size int, build func() []byte) *content {
	c := &content{token: token, size: size, build: build}
	for i, suffix := range suffixes {
		c.etags[i] = []string{`"` + token + suffix + `"`}
	}
	return c
}

// body returns the body in the coding. Nobody modifies it.
func (c *content) body(in coding) []byte {
	b := &c.bodies[in]
	b.once.Do(func() {
		if in == identity {
			b.bytes = c.build()
			return
		}
		b.bytes = compress(c.body(identity), in)
	})
	return b.bytes
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
