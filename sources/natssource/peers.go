package natssource

import (
	"slices"
	"sync"
	"time"
)

// peers remembers the other nodes, each from its first message to its farewell, or
// until it has been silent for too long. It keeps a node's last number for a while
// longer, for marks that hold it.
type peers struct {
	max            int
	silent, forget time.Duration

	mu              sync.Mutex // guards what follows
	known           map[string]*peer
	gone            []departed    // the oldest first
	moved           chan struct{} // closed when a number moves, then replaced
	begun, greeting bool          // see numbers
}

type peer struct {
	seq    uint64    // everything up to it has been reported
	heard  time.Time // when it last spoke
	missed bool
	warned bool // an unreadable message of it has been logged
}

type departed struct {
	node string
	seq  uint64
}

// maxDeparted bounds the remembered nodes that have gone.
const maxDeparted = 64

func newPeers(c Config) *peers {
	return &peers{
		max: c.MaxPeers, silent: silentBeats * c.Heartbeat, forget: c.Forget,
		known: make(map[string]*peer), moved: make(chan struct{}),
	}
}

// verdict says what a peer's message means for this node.
type verdict int

const (
	expected verdict = iota // nothing is missing
	repeated                // it was received before
	missing                 // something before it was lost
	unknown                 // too many peers: this one's earlier numbers are not known
)

// heard notes a message of the node. With report set, seq is the number of
// the message itself; else it is the last number that the node has used.
func (p *peers) heard(node string, seq uint64, report bool, now time.Time) (v verdict, isNew bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.known[node]
	if one == nil {
		if len(p.known) >= p.max {
			return unknown, false
		}
		one, isNew = &peer{}, true
		p.known[node] = one
		p.tellLocked()
		if i := slices.IndexFunc(p.gone, func(d departed) bool { return d.node == node }); i >= 0 {
			one.seq = p.gone[i].seq
			p.gone = slices.Delete(p.gone, i, i+1)
		}
	}
	one.heard, one.missed = now, false
	next := one.seq
	if report {
		next++
	}
	switch {
	case seq == next:
		v = expected
	case seq < next:
		return repeated, isNew
	default:
		v = missing
	}
	return v, isNew
}

// reported notes that all messages up to the number have been reported to the engine.
func (p *peers) reported(node string, seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.known[node]; one != nil && seq > one.seq {
		one.seq = seq
		p.tellLocked()
	}
}

// left forgets a node that has said farewell.
func (p *peers) left(node string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.departLocked(node)
}

func (p *peers) departLocked(node string) {
	one := p.known[node]
	if one == nil {
		return
	}
	delete(p.known, node)
	p.gone = append(p.gone, departed{node, one.seq})
	if len(p.gone) > maxDeparted {
		p.gone = slices.Delete(p.gone, 0, 1)
	}
	p.tellLocked()
}

// check looks for silent peers. It returns one that is missed, "" for none, and those
// that count as dead from now on.
func (p *peers) check(now time.Time) (missed string, dead []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for node, one := range p.known {
		switch quiet := now.Sub(one.heard); {
		case quiet > p.forget:
			dead = append(dead, node)
		case quiet > p.silent:
			one.missed = true
			missed = max(missed, node)
		}
	}
	slices.Sort(dead)
	for _, node := range dead {
		p.departLocked(node)
	}
	return missed, dead
}

// excuse restarts every peer's silence, because this node was not listening.
func (p *peers) excuse(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.known {
		one.heard, one.missed = now, false
	}
}

// warn reports whether the peer's unreadable message is the first one.
func (p *peers) warn(node string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.known[node]
	if one == nil || one.warned {
		return one == nil
	}
	one.warned = true
	return true
}

func (p *peers) count() (known, missed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.known {
		if one.missed {
			missed++
		}
	}
	return len(p.known), missed
}

// numbers holds the last reported number of each peer, and of those that have gone, by
// the short names that marks use.
type numbers struct {
	known, gone map[nodeHash]uint64
	begun       bool            // the others have been asked once
	greeting    bool            // they are being asked
	moved       <-chan struct{} // closed when any of this changes
}

func (p *peers) numbers() numbers {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := numbers{
		known: make(map[nodeHash]uint64, len(p.known)), gone: make(map[nodeHash]uint64, len(p.gone)),
		begun: p.begun, greeting: p.greeting, moved: p.moved,
	}
	for _, d := range p.gone {
		n.gone[hashOf(d.node)] = d.seq
	}
	for node, one := range p.known {
		h := hashOf(node)
		if other, twice := n.known[h]; twice {
			n.known[h] = min(other, one.seq) // which never happens
			continue
		}
		n.known[h] = one.seq
	}
	return n
}

// greet notes that the others are being asked, or have been.
func (p *peers) greet(asking bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.greeting = asking
	p.begun = p.begun || !asking
	p.tellLocked()
}

func (p *peers) tellLocked() {
	close(p.moved)
	p.moved = make(chan struct{})
}
