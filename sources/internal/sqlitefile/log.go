package sqlitefile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Log reads from a database's write-ahead log which rows have been changed between two
// positions. It takes none of SQLite's locks. If a checkpoint, or a new log, has come
// between, it returns [ErrGap]. Its methods may be called from any goroutine.
type Log struct {
	database, log, index *file

	mu               sync.Mutex // guards what follows
	pageSize, usable int
	series           uint64
	salts            [8]byte
	read             uint32              // frames that were read
	frames           map[uint32][]uint32 // page -> its frames among them, counted from 1
	commits          []uint32            // the frames that end commits
}

// The write-ahead log's header and those of its frames: see "The WAL File Format".
const (
	logHeader   = 32
	frameHeader = 24
	logMagic    = 0x377f0682 // or one more
)

// Bounds of one call of Changed.
const (
	maxFrames  = 1 << 16 // frames of a log
	maxRows    = 10_000
	maxVisited = 1 << 13 // interior pages of a table
	maxChained = 1 << 14 // overflow pages
	maxTrunks  = 1 << 10 // pages that list free pages
	maxDepth   = 16
	maxTries   = 3
)

// ErrGap says that the log does not tell all rows that have changed.
var ErrGap = errors.New("sqlitefile: the log does not tell all rows that have changed")

// NewLog returns the log of the database file. It opens nothing.
func NewLog(path string) *Log {
	return &Log{database: fileOf(path), log: fileOf(path + "-wal"), index: fileOf(path + "-shm")}
}

// Position returns the log's end, after the last commit that readers can see.
func (l *Log) Position() (Position, error) {
	x, err := readIndex(l.index)
	return x.Position, err
}

// Table is a table whose rows the log tells.
type Table struct {
	// Root is the number of the table's root page.
	Root uint32
	// Key has the positions of the key's columns in the rows as they are stored.
	Key []int
	// Number says that the key is one column of the type INTEGER. It may then be an
	// alias of the rowid, which is stored as NULL.
	Number bool
}

// Changed returns the keys of the rows that were changed after the position, by the root
// page of their table: the values of the key's columns, each an int64, a float64, a string,
// a []byte or nil. A key may occur twice, and some of the rows may be unchanged. The result
// covers every commit that was visible at the call, and perhaps later ones.
//
// The error is [ErrGap] if other rows of these tables may have changed: the log has
// been restarted, a checkpoint has overwritten the earlier pages, or a written page
// cannot be attributed to a row, such as when a long row was overwritten only in overflow
// pages. It is ErrGap, too, if the schema was changed, or a key extends to an overflow
// page.
func (l *Log) Changed(after Position, tables []Table) (map[uint32][][]any, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for try := 1; ; try++ {
		now, err := readIndex(l.index)
		if err != nil {
			return nil, err
		}
		if now.series != after.series {
			return nil, fmt.Errorf("%w: it is another database", ErrGap)
		}
		if now.change == after.change {
			return nil, nil
		}
		c := changes{was: state{log: l}, is: state{log: l, upTo: now.end}, pages: now.pages}
		if now.salts == after.salts {
			c.was.upTo = after.end
		} // else all of the older log is in the database file
		var keys map[uint32][][]any
		if err = l.follow(now); err == nil {
			keys, err = c.keys(tables, now.change-after.change)
		}
		then, err2 := readIndex(l.index)
		switch {
		case err2 != nil:
			return nil, err2
		case then.salts != now.salts || then.series != now.series || then.backfilled > now.end:
			// The pages may have been overwritten while they were read.
			if try < maxTries {
				continue
			}
			return nil, fmt.Errorf("%w: it is written faster than it can be read", ErrGap)
		case err != nil:
			return nil, err
		}
		return keys, c.was.isKnown(then.backfilled)
	}
}

// follow reads the frames up to the last commit.
func (l *Log) follow(now walIndex) error {
	var header [logHeader]byte
	if _, err := l.log.read(header[:]); err != nil {
		return err
	}
	pageSize := int(binary.BigEndian.Uint32(header[8:]))
	if binary.BigEndian.Uint32(header[:])&^1 != logMagic || pageSize < 512 || pageSize > 1<<16 || pageSize&(pageSize-1) != 0 {
		return fmt.Errorf("%w: it has no header", ErrGap)
	}
	var first [100]byte
	if _, err := l.database.read(first[:]); err != nil {
		return err
	}
	l.pageSize, l.usable = pageSize, pageSize-int(first[20])
	if now.salts != l.salts || now.series != l.series || l.frames == nil {
		l.salts, l.series, l.read, l.commits, l.frames = now.salts, now.series, 0, nil, make(map[uint32][]uint32)
	}
	if now.end > maxFrames {
		return fmt.Errorf("%w: it has %d frames", ErrGap, now.end)
	}
	for l.read < now.end {
		n := l.read + 1
		var frame [frameHeader]byte
		if err := l.log.readAt(frame[:], l.offset(n)-frameHeader); err != nil {
			return err
		}
		if [8]byte(frame[8:16]) != l.salts {
			return fmt.Errorf("%w: frame %d is of another log", ErrGap, n)
		}
		page := binary.BigEndian.Uint32(frame[:])
		l.frames[page] = append(l.frames[page], n)
		if binary.BigEndian.Uint32(frame[4:]) != 0 {
			l.commits = append(l.commits, n)
		}
		l.read = n
	}
	return nil
}

// offset is where the page of the n-th frame begins in the log.
func (l *Log) offset(n uint32) int64 {
	return logHeader + int64(n-1)*int64(frameHeader+l.pageSize) + frameHeader
}

// commitsBetween counts the commits that end in frames after the first and up to the last.
func (l *Log) commitsBetween(after, upTo uint32) uint32 {
	first, _ := slices.BinarySearch(l.commits, after+1)
	last, _ := slices.BinarySearch(l.commits, upTo+1)
	return uint32(last - first)
}

// state is the database with the log's frames up to one of them.
type state struct {
	log  *Log
	upTo uint32
	// fromDatabase are the pages that were read from the database file.
	fromDatabase pageSet
}

// page reads a page.
func (s *state) page(number uint32) (page, error) {
	l := s.log
	p := page{data: make([]byte, l.pageSize), usable: l.usable}
	if number == 1 {
		p.header = 100
	}
	if number == 0 {
		return p, fmt.Errorf("%w: it names no page", ErrGap)
	}
	frames := l.frames[number]
	var err error
	if i, _ := slices.BinarySearch(frames, s.upTo+1); i > 0 {
		err = l.log.readAt(p.data, l.offset(frames[i-1]))
	} else {
		if s.fromDatabase == nil {
			s.fromDatabase = make(pageSet)
		}
		s.fromDatabase[number] = true
		err = l.database.readAt(p.data, int64(number-1)*int64(l.pageSize))
	}
	if err != nil {
		return p, fmt.Errorf("sqlitefile: reading page %d: %w", number, err)
	}
	return p, nil
}

// isKnown returns an error when pages that were read from the database file may have been
// copied there from later frames, which a checkpoint has copied up to the one given.
func (s *state) isKnown(backfilled uint32) error {
	if backfilled <= s.upTo {
		return nil
	}
	for number := range s.fromDatabase {
		for _, n := range s.log.frames[number] {
			if n > s.upTo && n <= backfilled {
				return fmt.Errorf("%w: a checkpoint has overtaken it", ErrGap)
			}
		}
	}
	return nil
}

// pageSet is a set of pages.
type pageSet map[uint32]bool
