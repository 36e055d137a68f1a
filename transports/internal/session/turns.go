package session

import "sync"

// turns is the order in which a session's joins send: those that may have
// something, each at most once. It has a lock of its own, since publishers come
// here while the session may be busy building a message.
type turns struct {
	mu          sync.Mutex // guards what follows and the joins' places
	first, last *join
	awaited     bool // the session is about to be pumped by a wakeup
}

// add lets the join have its turn.
func (t *turns) add(j *join) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.addLocked(j)
}

// addAndWake is add for who cannot pump the session. It reports whether the
// session must be woken for that.
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
