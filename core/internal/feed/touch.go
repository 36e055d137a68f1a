package feed

import "github.com/binderyhq/bindery/core/internal/rowset"

// Touch has the feed's goroutine give the binding a new time of change as soon as no read is
// under way. It needs no read itself, so neither a database that is away nor the interval of
// a query delays it.
func (f *Feed) Touch(v *rowset.Member) {
	f.mu.Lock()
	f.touches = append(f.touches, v)
	f.touchesAsked++ // a Flush waits for it
	f.mu.Unlock()
	f.kick()
}

// publishTouches publishes the touches so far. Only the feed's goroutine calls it.
func (f *Feed) publishTouches() {
	f.mu.Lock()
	touches := f.touches
	f.touches = nil
	f.mu.Unlock()
	if len(touches) == 0 {
		return
	}
	for _, v := range touches {
		f.publishTouch(v)
	}
	f.mu.Lock()
	f.touchesDone += uint64(len(touches))
	f.progressLocked()
	f.mu.Unlock()
}

// publishTouch sets the binding's time of change to now.
func (f *Feed) publishTouch(v *rowset.Member) {
	event, err := v.Publisher.Touch(f.host.Now())
	if err != nil {
		return // it has ended
	}
	if !v.Unread() {
		v.Hold(v.Holding().Window)
	}
	f.host.Published(v.View, event)
}
