package pgsource

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// snapshot says which transactions a snapshot of the database shows. Ids
// have 64 bits: they count on when those of 32 bits begin anew.
type snapshot struct {
	xmin, xmax uint64   // all below xmin have ended; none from xmax on is visible
	running    []uint64 // those between them that had not ended, ascending
}

// snapshotQuery works on every version that has logical replication;
// pg_current_snapshot, its successor, does not. Both write the same text.
const snapshotQuery = "SELECT txid_current_snapshot()::text"

// parseSnapshot reads a snapshot as Postgres writes it, xmin:xmax:xip,xip.
func parseSnapshot(text string) (snapshot, error) {
	malformed := fmt.Errorf("malformed snapshot %q", text)
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return snapshot{}, malformed
	}
	var s snapshot
	var err error
	if s.xmin, err = strconv.ParseUint(parts[0], 10, 64); err != nil {
		return snapshot{}, malformed
	}
	if s.xmax, err = strconv.ParseUint(parts[1], 10, 64); err != nil || s.xmax < s.xmin {
		return snapshot{}, malformed
	}
	if parts[2] == "" {
		return s, nil
	}
	for id := range strings.SplitSeq(parts[2], ",") {
		x, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			return snapshot{}, malformed
		}
		s.running = append(s.running, x)
	}
	slices.Sort(s.running)
	return s, nil
}

// ended reports whether the transaction had ended when the snapshot was taken:
// if it was committed, the snapshot shows it. The log has only the lower 32 bits of
// ids. The full id is the nearest to the snapshot's own, because Postgres keeps ids
// in use less than 2^31 apart.
func (s *snapshot) ended(xid uint32) bool {
	full := s.xmax&^uint64(1<<32-1) | uint64(xid)
	switch {
	case full > s.xmax+1<<31 && full >= 1<<32:
		full -= 1 << 32
	case full+1<<31 < s.xmax:
		full += 1 << 32
	}
	return s.endedFull(full)
}

// endedFull is ended for an id of 64 bits.
func (s *snapshot) endedFull(xid uint64) bool {
	if xid >= s.xmax {
		return false
	}
	if xid < s.xmin {
		return true
	}
	_, found := slices.BinarySearch(s.running, xid)
	return !found
}

// endedSince reports whether a transaction whose id is below the limit has
// ended between an earlier snapshot and this one.
func (s *snapshot) endedSince(earlier *snapshot, limit uint64) bool {
	for _, x := range earlier.running {
		if x < limit && s.endedFull(x) {
			return true
		}
	}
	from, to := earlier.xmax, min(limit, s.xmax)
	if from >= to {
		return false
	}
	running := uint64(0)
	for _, x := range s.running {
		if x >= from && x < to {
			running++
		}
	}
	return running < to-from
}
