package core

import "sync"

// notice tells any number of goroutines that something has changed. The zero value
// is ready to use.
type notice struct {
	mu sync.Mutex
	ch chan struct{} // guarded by mu; nil while nobody waits
}

// next returns a channel that is closed at the next tell.
func (n *notice) next() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch == nil {
		n.ch = make(chan struct{})
	}
	return n.ch
}

// tell closes the channel of everybody who waits.
func (n *notice) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch != nil {
		close(n.ch)
		n.ch = nil
	}
}
