package sqlitefile

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Position is a place in a database's write-ahead log, after a commit.
type Position struct {
	series uint64  // the WAL index's file
	change uint32  // commits counted by then; it wraps around
	salts  [8]byte // the log, which begins anew after a checkpoint
	end    uint32  // its frames by then
}

// Commits returns the count of commits at the position, see [Reading.Commits].
func (p Position) Commits() uint32 { return p.change }

// Within reports whether the position is neither before from nor after to.
func (p Position) Within(from, to Position) bool {
	return p.series == from.series && p.series == to.series && p.change-from.change <= to.change-from.change
}

const positionLength = 24

// String encodes the position for [ParsePosition].
func (p Position) String() string {
	var b [positionLength]byte
	binary.BigEndian.PutUint64(b[:], p.series)
	binary.BigEndian.PutUint32(b[8:], p.change)
	copy(b[12:], p.salts[:])
	binary.BigEndian.PutUint32(b[20:], p.end)
	return hex.EncodeToString(b[:])
}

// ParsePosition decodes what [Position.String] returns.
func ParsePosition(s string) (p Position, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != positionLength {
		return p, fmt.Errorf("sqlitefile: %q is no position in a log", s)
	}
	p.series, p.change = binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])
	p.salts, p.end = [8]byte(b[12:]), binary.BigEndian.Uint32(b[20:])
	return p, nil
}

// walIndex is the header of the WAL index: see "WAL-Index File Format".
type walIndex struct {
	Position
	pages uint32 // of the database
	// backfilled counts the frames that a checkpoint has copied to the database file, or
	// may be copying.
	backfilled uint32
}

const (
	walIndexHeader = 48 // which is there twice
	walIndexLength = 2*walIndexHeader + 40
	readAttempts   = 10
)

// readIndex reads the header. Its two copies differ for a moment while somebody commits.
func readIndex(f *file) (x walIndex, err error) {
	var b [walIndexLength]byte
	for range readAttempts {
		if x.series, err = f.read(b[:]); err != nil {
			return x, err
		}
		if [walIndexHeader]byte(b[:]) != [walIndexHeader]byte(b[walIndexHeader:]) {
			continue
		}
		number := func(at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
		x.change, x.end, x.pages, x.salts = number(offsetIndexChange), number(16), number(20), [8]byte(b[32:])
		x.backfilled = max(number(96), number(128))
		return x, nil
	}
	return x, fmt.Errorf("%w: somebody is committing", ErrGap)
}
