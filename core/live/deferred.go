package live

import "sync/atomic"

// deferred is the Go value of a row that was restored, made when somebody asks.
type deferred struct {
	make  func(model []byte) any
	model []byte
	made  atomic.Pointer[any]
}

// get returns the value. Of several who ask at the same time, all get the one that
// was made first.
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
