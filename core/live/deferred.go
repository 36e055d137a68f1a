package live

import "sync/atomic"

// deferred makes the Go value of a restored row on first use.
type deferred struct {
	make  func(model []byte) any
	model []byte
	made  atomic.Pointer[any]
}

// get returns the value. Concurrent first calls may each make one; all return the same.
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
