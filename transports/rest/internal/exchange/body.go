package exchange

import "github.com/binderyhq/bindery/transports/internal/problem"

// Body is the body of a request. A request may be begun anew, but its body can be
// read only once.
type Body struct {
	read    bool
	bytes   []byte
	p       *problem.Problem
	release func()
}

// Held has release called at Close: what the body takes is given back then.
func (b *Body) Held(release func()) { b.release = release }

// Close gives back what the body takes, when the request has ended.
func (b *Body) Close() {
	if b.release != nil {
		b.release()
	}
}

// Read returns what from returned at the first call.
func (b *Body) Read(from func() ([]byte, *problem.Problem)) ([]byte, *problem.Problem) {
	if !b.read {
		b.bytes, b.p = from()
		b.read = true
	}
	return b.bytes, b.p
}
