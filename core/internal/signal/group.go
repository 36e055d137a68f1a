package signal

import "sync"

// Group counts goroutines, which may come until it is closed. Unlike a
// [sync.WaitGroup] it may be added to while somebody waits. The zero value is ready to
// use.
type Group struct {
	mu     sync.Mutex // guards what follows
	n      int
	closed bool
	idle   chan struct{} // closed when closed is set and n is 0
}

// Enter reports whether one more goroutine may run. If so it calls Leave at its end.
func (g *Group) Enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.n++
	return true
}

// Leave says that a goroutine has ended.
func (g *Group) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n--
	if g.n == 0 && g.idle != nil {
		close(g.idle)
	}
}

// Running reports whether a goroutine has entered and not left.
func (g *Group) Running() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n > 0
}

// Close refuses further goroutines. It returns a channel that is closed when the last
// one has left, or nil when none runs. It is called once.
func (g *Group) Close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	if g.n == 0 {
		return nil
	}
	g.idle = make(chan struct{})
	return g.idle
}
