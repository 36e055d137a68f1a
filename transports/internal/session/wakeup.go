package session

import "sync"

// wakeup pumps sessions that have something to send, on a few shared goroutines.
// Subscriptions notify on the goroutine that publishes, which must not be held up by
// polling and encoding. A goroutine for each connection would cost more than the rest
// of an idle one. The goroutines start when there is work and end when there is none.
type wakeup struct {
	max int // goroutines

	mu          sync.Mutex // guards what follows and the sessions' next
	first, last *Session   // each session at most once
	running     int
	stopped     bool
	wg          sync.WaitGroup
}

// add makes a goroutine pump the session soon. The caller does not add a session again
// before turns.woken was called.
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

// take returns the session to pump next, or nil if the goroutine must end.
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

// stop waits until no goroutine runs. Later calls of add do nothing.
func (w *wakeup) stop() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.wg.Wait()
}
