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

// Mark implements [driver.Marker]. The part names everything that this node has
// reported and everything that it has heard from the others: their numbers. Where
// these do not fit it is an error, rather than a part that says too little.
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

// Reach implements [driver.Marker]. A node that is not known here may only just have
// come, so the others are asked to speak before it is called foreign.
func (r *Relay) Reach(ctx context.Context, part []byte) error {
	want, err := parseMark(part)
	if err != nil {
		return err
	}
	delete(want, hashOf(r.node)) // whatever it has reported, its own feeds know
	var asked time.Time
	for {
		now := r.peers.numbers()
		stranger, short := now.compare(want)
		var patience <-chan time.Time
		switch {
		case now.greeting:
			// What is heard now may be lost, and read when the source says that it
			// watches.
		case stranger && !now.begun:
			return errNotHearing
		case stranger && asked.IsZero():
			asked = time.Now()
			r.askAll()
			fallthrough
		case stranger:
			left := greetingTime - time.Since(asked)
			if left <= 0 {
				return fmt.Errorf("natssource: a mark names a node of which nothing is known here: %w", driver.ErrForeign)
			}
			timer := time.NewTimer(left)
			defer timer.Stop()
			patience = timer.C
		case !short:
			return nil
		}
		select {
		case <-now.moved:
		case <-patience:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

var errNotHearing = errors.New("natssource: the other nodes have not been heard yet")

// askAll has the other nodes tell their numbers, unless they were asked a moment ago.
func (r *Relay) askAll() {
	now := time.Now().UnixNano()
	if last := r.hello.Load(); now-last < int64(greetingTime/2) || !r.hello.CompareAndSwap(last, now) {
		return
	}
	_ = r.send(message{Kind: kindHello}) // whoever is not reached by it stays unknown
}

// compare reports whether one of the nodes is not known, and whether less is known of
// one of the others than is wanted. What is known of a node that has gone counts when
// it is enough.
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
