package live

import "sync/atomic"

// deferred makes the Go value of a restored row when it is first asked for.
type deferred struct {
	make  func(model []byte) any
	model []byte
	made  atomic.Pointer[any]
}

// get returns the value. Goroutines that ask at the same time may each make one; all
// get the same.
func (d *deferred) get() any {
	if v := d.made.Load(); v != nil {
		return *v
	}
	v := d.make(d.model)
	if d.made.CompareAndSwap(nil, &v) {
		return v
	}
	return *d.made.Load()
}
