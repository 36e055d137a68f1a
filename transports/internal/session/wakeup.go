package session

import "sync"

// wakeup runs sessions that have something to send on a few shared goroutines.
// Subscriptions notify on the goroutine that publishes, which must not be held
// up by polling and by building messages; and a goroutine for each connection
// would cost more than the rest of an idle one. The goroutines come when there
// is work and go when there is none.
type wakeup struct {
	max int // goroutines

	mu          sync.Mutex // guards what follows and the sessions' next
	first, last *Session   // each session at most once
	running     int
	stopped     bool
	wg          sync.WaitGroup
}

// add has the session's pump called soon. The caller sees to it that a session
// is not added again before woken was called on its turns.
func (w *wakeup) add(s *Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	if w.first == nil {
		w.first = s
	} else {
		w.last.next = s
	}
	w.last = s
	if w.running < w.max {
		w.running++
		w.wg.Go(w.run)
	}
}

// take returns the session to pump next, or nil when the goroutine is to end.
func (w *wakeup) take() *Session {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.first
	if s == nil {
		w.running--
		return nil
	}
	if w.first = s.next; w.first == nil {
		w.last = nil
	}
	s.next = nil
	return s
}

func (w *wakeup) run() {
	for s := w.take(); s != nil; s = w.take() {
		s.turns.woken()
		s.pump()
	}
}

// stop waits until no goroutine runs. What is added later is ignored.
func (w *wakeup) stop() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.wg.Wait()
}
