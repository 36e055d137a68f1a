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
	// ErrClosed means that the transport is being shut down.
	ErrClosed = errors.New("ending: nobody is let in any more")
	// ErrFull means that the limit is reached.
	ErrFull = errors.New("ending: too many are in")
)

// Open holds the open members of a transport: long-lived answers or connections,
// bounded in number, which its Shutdown ends and waits for. Methods may be called from
// any goroutine.
type Open[T comparable] struct {
	limit   int
	refused atomic.Uint64

	mu      sync.Mutex // guards what follows
	members map[T]struct{}
	closed  bool
	idle    chan struct{} // closed when closed is set and there are no members
}

// NewOpen returns an Open with at most limit members at a time; a negative limit means
// no bound.
func NewOpen[T comparable](limit int) *Open[T] {
	return &Open[T]{limit: limit, members: make(map[T]struct{}), idle: make(chan struct{})}
}

// Enter adds the member, or returns [ErrClosed] or [ErrFull]. The member later calls
// Leave.
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

// Leave removes the member. A second call does nothing.
func (o *Open[T]) Leave(m T) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, in := o.members[m]; in {
		delete(o.members, m)
		o.tellLocked()
	}
}

// Len returns the number of members.
func (o *Open[T]) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.members)
}

// Refused returns how often Enter has returned [ErrFull].
func (o *Open[T]) Refused() uint64 { return o.refused.Load() }

// Close admits no more members, and calls tell, which may be nil, for each member. A
// second Close tells the members that are left.
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

// Spread calls tell for each present member, one after the other, evenly over the time.
// It returns after the last, or with the context's error.
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
		// Members that are due by now. With many members these are several at a time.
		due := int(int64(len(list)) * int64(time.Since(begun)) / int64(over))
		for ; told < len(list) && told <= due; told++ {
			tell(list[told])
		}
		timer.Reset(max(time.Millisecond, time.Duration(int64(told)*int64(over)/int64(len(list)))-time.Since(begun)))
	}
	return nil
}

// Drain waits until no member is left; call Close first. After the patience it calls
// cut for each remaining member, and waits on. It returns the context's error if that
// ends first.
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

// Each calls fn for each member. It may leave out members that enter meanwhile.
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

// tellLocked tells Drain when no member is left and none can enter. It is called after
// each change that may lead there; after that there are no more changes.
func (o *Open[T]) tellLocked() {
	if o.closed && len(o.members) == 0 {
		close(o.idle)
	}
}
