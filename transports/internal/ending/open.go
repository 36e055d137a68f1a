package ending

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of Enter.
var (
	// ErrClosed: the transport is being shut down.
	ErrClosed = errors.New("ending: nobody is let in any more")
	// ErrFull: as many are in as may be.
	ErrFull = errors.New("ending: too many are in")
)

// Open is what a transport has open: long-lived answers or connections, bounded
// in number, which its Shutdown ends and waits for. Methods may be called from
// any goroutine.
type Open[T comparable] struct {
	limit   int
	refused atomic.Uint64

	mu      sync.Mutex // guards what follows
	members map[T]struct{}
	closed  bool
	idle    chan struct{} // closed when closed is set and there are no members
}

// NewOpen returns an Open that lets in as many as the limit says at a time, any
// number when that is negative.
func NewOpen[T comparable](limit int) *Open[T] {
	return &Open[T]{limit: limit, members: make(map[T]struct{}), idle: make(chan struct{})}
}

// Enter lets the member in, who is to Leave, or returns [ErrClosed] or
// [ErrFull].
func (o *Open[T]) Enter(m T) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		return ErrClosed
	case o.limit >= 0 && len(o.members) >= o.limit:
		o.refused.Add(1)
		return ErrFull
	}
	o.members[m] = struct{}{}
	return nil
}

// Leave takes the member out. Leaving twice is harmless.
func (o *Open[T]) Leave(m T) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, in := o.members[m]; in {
		delete(o.members, m)
		o.tellLocked()
	}
}

// Len returns how many are in.
func (o *Open[T]) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.members)
}

// Refused returns how often Enter has returned [ErrFull].
func (o *Open[T]) Refused() uint64 { return o.refused.Load() }

// Close lets nobody in any more, and calls tell, which may be nil, for each who
// is in. Closing again tells those who are still in.
func (o *Open[T]) Close(tell func(T)) {
	o.mu.Lock()
	if !o.closed {
		o.closed = true
		o.tellLocked()
	}
	o.mu.Unlock()
	if tell != nil {
		o.Each(tell)
	}
}

// Spread calls tell for each who is in at the call, one after the other, evenly over
// the time. It returns after the last, or with the context's error.
func (o *Open[T]) Spread(ctx context.Context, over time.Duration, tell func(T)) error {
	var list []T
	o.Each(func(m T) { list = append(list, m) }) // in no order
	if len(list) == 0 {
		return nil
	}
	begun := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for told := 0; told < len(list); {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		// Who is due by now, with many clients several at a time.
		due := int(int64(len(list)) * int64(time.Since(begun)) / int64(over))
		for ; told < len(list) && told <= due; told++ {
			tell(list[told])
		}
		timer.Reset(max(time.Millisecond, time.Duration(int64(told)*int64(over)/int64(len(list)))-time.Since(begun)))
	}
	return nil
}

// Drain returns when nobody is left, after Close. When that has not come to be
// within the patience it calls cut for each who is left, and waits on; it
// returns the context's error when that ends first.
func (o *Open[T]) Drain(ctx context.Context, patience time.Duration, cut func(T)) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-o.idle:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	o.Each(cut)
	select {
	case <-o.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Each calls fn for each who is in. Who enters meanwhile may be left out.
func (o *Open[T]) Each(fn func(T)) {
	o.mu.Lock()
	list := make([]T, 0, len(o.members))
	for m := range o.members {
		list = append(list, m)
	}
	o.mu.Unlock()
	for _, m := range list {
		fn(m)
	}
}

// tellLocked tells Drain when nobody is left, or will come. It is called after
// each change that may bring that about; afterwards there is none.
func (o *Open[T]) tellLocked() {
	if o.closed && len(o.members) == 0 {
		close(o.idle)
	}
}
