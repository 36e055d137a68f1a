package session

import "sync"

// turns is the queue of the joins that may have something to send, each at most once.
// It has its own lock, because publishers add joins while the session may be encoding a
// message.
type turns struct {
	mu          sync.Mutex // guards what follows and the joins' places
	first, last *join
	awaited     bool // a wakeup is about to pump the session
}

// add queues the join.
func (t *turns) add(j *join) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.addLocked(j)
}

// addAndWake is add for callers that cannot pump the session. It reports whether the
// session must be woken.
func (t *turns) addAndWake(j *join) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.addLocked(j)
	wake := !t.awaited
	t.awaited = true
	return wake
}

func (t *turns) addLocked(j *join) {
	switch {
	case j.queued:
		return
	case t.first == nil:
		t.first = j
	default:
		t.last.next = j
	}
	t.last = j
	j.queued = true
}

// take returns the join whose turn it is, or nil.
func (t *turns) take() *join {
	t.mu.Lock()
	defer t.mu.Unlock()
	j := t.first
	if j == nil {
		return nil
	}
	if t.first = j.next; t.first == nil {
		t.last = nil
	}
	j.next, j.queued = nil, false
	return j
}

// woken notes that the wakeup has come.
func (t *turns) woken() {
	t.mu.Lock()
	t.awaited = false
	t.mu.Unlock()
}
