package natssource

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

var _ driver.Marker = (*Relay)(nil)

// maxMark bounds the length of a part of a mark, in bytes: room for the numbers of
// about 18 nodes.
const maxMark = 144

// A part is a list of nodes, each with its number (uvarint).
type nodeHash [5]byte

// hashOf returns the short name of a node in marks.
func hashOf(node string) (h nodeHash) {
	sum := sha256.Sum256([]byte(node))
	copy(h[:], sum[:])
	return h
}

// MarkKind implements [driver.Marker].
func (*Relay) MarkKind() string { return "nats" }

// Mark implements [driver.Marker]. The part holds this node's last number and the
// last numbers that it has reported of the others. If they do not fit, Mark returns an
// error rather than a part that promises too little.
func (r *Relay) Mark(context.Context) ([]byte, error) {
	known := r.peers.numbers().known
	known[hashOf(r.node)] = r.out.covering()
	var part []byte
	for node, seq := range known {
		if seq > 0 || node == hashOf(r.node) {
			part = append(part, node[:]...)
			part = binary.AppendUvarint(part, seq)
		}
	}
	if len(part) > maxMark {
		return nil, fmt.Errorf("natssource: a mark of %d nodes has %d bytes, more than %d", len(known), len(part), maxMark)
	}
	return part, nil
}

// Reach implements [driver.Marker]. An unknown node in the mark may be new, so Reach
// first asks all nodes for their numbers. If it stays unknown for as long as a silent
// node is not missed, and at least for a second, the mark is foreign.
func (r *Relay) Reach(ctx context.Context, part []byte) error {
	want, err := parseMark(part)
	if err != nil {
		return err
	}
	delete(want, hashOf(r.node)) // this node's own feeds have its reports
	var asked time.Time
	var patience *time.Timer // nil until the others have been asked
	for {
		now := r.peers.numbers()
		stranger, short := now.compare(want)
		var over <-chan time.Time
		switch {
		case now.greeting:
			// Messages may be lost now; tables are read in full when the source begins
			// to watch.
		case stranger && !now.begun:
			return errNotHearing
		case stranger && asked.IsZero():
			// One timer, however often a number moves meanwhile.
			asked, patience = time.Now(), time.NewTimer(r.strangerTime())
			defer patience.Stop()
			r.askAll()
			over = patience.C
		case stranger && time.Since(asked) >= r.strangerTime():
			return fmt.Errorf("natssource: a mark names a node of which nothing is known here: %w", driver.ErrForeign)
		case stranger:
			over = patience.C
		case !short:
			return nil
		}
		select {
		case <-now.moved:
		case <-over:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// strangerTime is how long a node that a mark names may take to be heard. A foreign mark
// is given up by its client, so a node that is only slow must not be taken for a stranger.
func (r *Relay) strangerTime() time.Duration {
	return max(time.Second, silentBeats*r.cfg.Heartbeat)
}

var errNotHearing = errors.New("natssource: the other nodes have not been heard yet")

// askAll asks the other nodes for their numbers, unless it did so a moment ago.
func (r *Relay) askAll() {
	now := time.Now().UnixNano()
	if last := r.hello.Load(); now-last < int64(greetingTime/2) || !r.hello.CompareAndSwap(last, now) {
		return
	}
	_ = r.send(message{Kind: kindHello}) // a node that misses it is heard by its next beat
}

// compare reports whether one of the wanted nodes is unknown (stranger), and whether the
// number of a known one is too low (short). A node that has gone counts as known if its
// number suffices.
func (n numbers) compare(want map[nodeHash]uint64) (stranger, short bool) {
	for node, seq := range want {
		have, ok := n.known[node]
		if !ok {
			have, ok = n.gone[node]
			stranger = stranger || !ok || have < seq
			continue
		}
		short = short || have < seq
	}
	return stranger, short
}

func parseMark(part []byte) (map[nodeHash]uint64, error) {
	want := make(map[nodeHash]uint64)
	if len(part) == 0 || len(part) > maxMark {
		return nil, fmt.Errorf("natssource: a part of %d bytes: %w", len(part), driver.ErrForeign)
	}
	for len(part) > 0 {
		var node nodeHash
		n := copy(node[:], part)
		seq, length := binary.Uvarint(part[n:])
		if _, twice := want[node]; n < len(node) || length <= 0 || twice {
			return nil, fmt.Errorf("natssource: a malformed part of a mark: %w", driver.ErrForeign)
		}
		want[node], part = seq, part[n+length:]
	}
	return want, nil
}
