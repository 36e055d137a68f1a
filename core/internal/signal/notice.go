package signal

import "sync"

// Notice tells any number of goroutines that something has changed. The zero value
// is ready to use.
type Notice struct {
	mu sync.Mutex
	ch chan struct{} // guarded by mu; nil while nobody waits
}

// Next returns a channel that is closed at the next Tell.
func (n *Notice) Next() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch == nil {
		n.ch = make(chan struct{})
	}
	return n.ch
}

// Tell closes the channel of everybody who waits.
func (n *Notice) Tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch != nil {
		close(n.ch)
		n.ch = nil
	}
}
