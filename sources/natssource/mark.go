package natssource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrForeign means that a mark names a node of which nothing is known here, so
// that nobody can tell whether its commits have been seen.
var ErrForeign = errors.New("natssource: the mark names a node that is not known here")

// maxMark bounds the length of a mark, in bytes.
const maxMark = 160

// Mark returns a text that names everything that this node has reported and
// everything that it has heard from the others. [Relay.Reach] understands it on
// every node of the subject. Nodes that do not fit into it make it an error,
// rather than a mark that says too little.
func (r *Relay) Mark() (string, error) {
	known, _, _ := r.peers.numbers()
	known[r.node] = r.out.covering()
	nodes := make([]string, 0, len(known))
	for node, seq := range known {
		if seq > 0 || node == r.node {
			nodes = append(nodes, node)
		}
	}
	slices.Sort(nodes)
	parts := make([]string, len(nodes))
	for i, node := range nodes {
		parts[i] = node + "-" + strconv.FormatUint(known[node], 36)
	}
	mark := strings.Join(parts, ".")
	if len(mark) > maxMark {
		return "", fmt.Errorf("natssource: a mark of %d nodes has %d bytes, more than %d", len(nodes), len(mark), maxMark)
	}
	return mark, nil
}

// Reach waits until everything that the mark names has been reported on this
// node. It returns [ErrForeign] when one of its nodes is not known here, and the
// context's error when that ends first.
func (r *Relay) Reach(ctx context.Context, mark string) error {
	want, err := parseMark(mark)
	if err != nil {
		return err
	}
	delete(want, r.node) // whatever it has reported, its own feeds know
	for {
		known, gone, moved := r.peers.numbers()
		short := false
		for node, seq := range want {
			have, ok := known[node]
			if !ok {
				if have, ok = gone[node]; !ok || have < seq {
					return fmt.Errorf("%w: %s", ErrForeign, node)
				}
			}
			short = short || have < seq
		}
		if !short {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func parseMark(mark string) (map[string]uint64, error) {
	if len(mark) > maxMark {
		return nil, fmt.Errorf("natssource: a mark of %d bytes, more than %d", len(mark), maxMark)
	}
	want := make(map[string]uint64)
	for part := range strings.SplitSeq(mark, ".") {
		node, number, ok := strings.Cut(part, "-")
		seq, err := strconv.ParseUint(number, 36, 64)
		if !ok || node == "" || err != nil {
			return nil, fmt.Errorf("natssource: malformed mark %q", mark)
		}
		if _, twice := want[node]; twice {
			return nil, fmt.Errorf("natssource: malformed mark %q: it names node %s twice", mark, node)
		}
		want[node] = seq
	}
	return want, nil
}
