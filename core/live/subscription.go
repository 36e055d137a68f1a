package live

import (
	"context"
	"slices"
	"sync/atomic"
)

// SubscribeOptions says where a subscription begins and how it notifies.
type SubscribeOptions struct {
	// Version is the token of the version that the subscriber already holds, "" for none.
	// The subscription continues from a past version that the log still reaches; any other
	// token gets a sync.
	Version string
	// Notify, when set, is called once after each [Subscription.Poll], whatever that
	// returned, as soon as another event is available or the subscription has ended. It
	// runs on the goroutine that publishes the event or ends the subscription, so it must
	// not block, and must not call the subscription. Without Notify, use
	// [Subscription.Next].
	Notify func()
	// OnClose, when set, is called once by the first [Subscription.Close].
	OnClose func()
}

// Subscription is a cursor on the changes of one binding. It has no queue: a subscriber
// that lags gets one merged event for all it missed, or a sync when the log no longer
// reaches back. So a slow subscriber costs no more than a fast one.
//
// The first event is available as soon as the binding has loaded: Synced, Confirmed or
// Changed, depending on the version that the subscriber holds. Events follow each other
// without gaps or repetition.
//
// Only one goroutine at a time may call Poll or Next; any may call Close, End and Err.
type Subscription struct {
	view   *View
	notify func()
	wake   chan struct{} // wakes Next; nil when the user gave Notify

	// Guarded by view.mu.
	resume  string // token to resume from, until the first event
	started bool
	synced  bool   // false: a sync is due
	pos     uint64 // of the next event in the log
	closed  bool
	why     error // the reason given to End; nil: not ended

	onClose func() // nil: nothing

	// armed is the index in view.armed plus one, 0 when not armed. It is set with view.mu
	// held. Armed means that the last Poll left nothing unread, and that the next event or
	// the end will call Notify. While armed, Poll returns nil without taking the lock.
	armed atomic.Int64
}

// Subscribe begins a subscription. It never fails: for a binding that has ended, the first
// Poll or Next returns the reason, such as [ErrRemoved]. The subscription uses memory until
// Close.
func (v *View) Subscribe(opts SubscribeOptions) *Subscription {
	s := &Subscription{view: v, notify: opts.Notify, resume: opts.Version, onClose: opts.OnClose}
	if s.notify == nil {
		wake := make(chan struct{}, 1)
		s.wake = wake
		s.notify = func() {
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	}
	v.mu.Lock()
	v.subscribers++
	v.mu.Unlock()
	return s
}

// Poll returns the next event, which leads to the binding's current version, or nil when
// there is none yet. Notify is called when another is available. After the end Poll returns
// [ErrSubscriptionClosed], the reason given to [Subscription.End], or [View.Err].
func (s *Subscription) Poll() (*Event, error) {
	if s.armed.Load() != 0 {
		return nil, nil // without the lock, which all subscribers share
	}
	v := s.view
	v.mu.Lock()
	if err := s.endedLocked(); err != nil {
		v.mu.Unlock()
		return nil, err
	}
	s.armLocked()
	cur := v.current.Load()
	if cur == nil { // not loaded yet
		v.mu.Unlock()
		return nil, nil
	}
	asked := !s.started // a resuming subscriber is told even that nothing is new
	if !s.started {
		s.started = true
		s.pos, s.synced = v.log.find(s.resume)
		if s.resume == cur.version.Token {
			s.pos, s.synced = v.log.next(), true
			v.mu.Unlock()
			return &Event{Kind: Confirmed, From: s.resume, Version: cur.version}, nil
		}
	}
	var missed []*Event
	if s.synced {
		missed, s.synced = v.log.since(s.pos)
	}
	if len(missed) > 1 {
		missed = slices.Clone(missed) // the log clears what it drops
	} else if len(missed) == 1 {
		one := missed[0]
		s.pos = v.log.next()
		v.mu.Unlock()
		return one, nil
	}
	next := v.log.next()
	if s.synced && len(missed) == 0 {
		v.mu.Unlock()
		return nil, nil
	}
	s.synced, s.pos = true, next
	resynced := missed == nil
	if resynced {
		v.syncs.Add(1)
	}
	v.mu.Unlock()
	// Events and snapshots are immutable, so the rest needs no lock.
	if resynced {
		return cur.SyncEvent(), nil
	}
	e := v.mergeShared(missed, cur)
	if e.Kind == Confirmed && !asked && !slices.ContainsFunc(missed, func(m *Event) bool { return m.Kind == Confirmed }) {
		return nil, nil // the missed changes cancel out
	}
	return e, nil
}

// Next waits for the next event and returns it. It returns the context's error when that
// ends first, and after the end the same errors as Poll. Do not use it on a subscription
// with a Notify function.
func (s *Subscription) Next(ctx context.Context) (*Event, error) {
	for {
		e, err := s.Poll()
		if e != nil || err != nil {
			return e, err
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// View returns the binding that the subscription follows.
func (s *Subscription) View() *View { return s.view }

// Close ends the subscription. Once Close has returned, only a publish under way may still
// call Notify. Closing twice is harmless.
func (s *Subscription) Close() {
	v := s.view
	v.mu.Lock()
	if s.closed {
		v.mu.Unlock()
		return
	}
	s.closed = true
	v.subscribers--
	s.disarmLocked()
	if s.wake != nil {
		s.notify()
	}
	v.mu.Unlock()
	if s.onClose != nil {
		s.onClose()
	}
}

// End ends the subscription for a reason, which the next Poll returns: for example, the
// subscriber may no longer see the binding. Only the first reason counts.
func (s *Subscription) End(why error) {
	v := s.view
	v.mu.Lock()
	if s.closed || s.why != nil {
		v.mu.Unlock()
		return
	}
	s.why = why
	armed := s.armed.Load() != 0
	s.disarmLocked()
	v.mu.Unlock()
	if armed {
		s.notify()
	}
}

// Err returns the error that the next Poll will return, nil while the subscription goes on.
// A transport still busy with the last event uses it to stop when the subscriber may no
// longer see the binding.
func (s *Subscription) Err() error {
	s.view.mu.Lock()
	defer s.view.mu.Unlock()
	return s.endedLocked()
}

func (s *Subscription) endedLocked() error {
	if s.closed {
		return ErrSubscriptionClosed
	}
	if s.why != nil {
		return s.why
	}
	return s.view.ended
}

func (s *Subscription) armLocked() {
	if s.armed.Load() == 0 {
		s.view.armed = append(s.view.armed, s)
		s.armed.Store(int64(len(s.view.armed)))
	}
}

func (s *Subscription) disarmLocked() {
	at := s.armed.Load()
	if at == 0 {
		return
	}
	a := s.view.armed
	last := a[len(a)-1]
	a[at-1] = last
	last.armed.Store(at)
	a[len(a)-1] = nil
	s.view.armed = a[:len(a)-1]
	s.armed.Store(0)
}
