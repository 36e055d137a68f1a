package sqlitefile

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Log reads from a database's write-ahead log which rows may have changed. What it
// says is a hint: it takes no lock, so a checkpoint may come between, and then it misses
// rows, as it does where a long row was overwritten only in the pages on which it goes
// on. It belongs to one goroutine.
type Log struct {
	database, log *file

	pageSize, usable int
	salts            [8]byte           // of the log as it was last read
	end              uint32            // the frames that were read, up to a commit
	latest           map[uint32]uint32 // page -> its last frame among them, counted from 1
}

// The write-ahead log's header and those of its frames: see "The WAL File Format".
const (
	logHeader   = 32
	frameHeader = 24
	logMagic    = 0x377f0682 // or one more
)

// Bounds of what is read for one hint.
const (
	maxFrames  = 1 << 16 // of a log, beyond which it is not followed
	maxHints   = 10_000  // rows
	maxVisited = 1 << 13 // interior pages of a table
	maxDepth   = 16
)

var errNoHint = errors.New("sqlitefile: the log does not tell")

// NewLog returns the log of the database file. It opens nothing.
func NewLog(path string) *Log { return &Log{database: fileOf(path), log: fileOf(path + "-wal")} }

// Skip goes on to the log's end: what is in it by now was seen otherwise.
func (l *Log) Skip() {
	if _, err := l.advance(); err != nil {
		l.salts, l.end, l.latest = [8]byte{}, 0, nil
	}
}

// Rows returns the numbers of the rows that may have been changed since the last call of
// Rows or Skip, for each of the tables, whose root pages are given. An error means that
// there is no hint.
func (l *Log) Rows(roots []uint32) (map[uint32][]int64, error) {
	before, salts, end := l.latest, l.salts, l.end
	changed, err := l.advance()
	if err != nil {
		l.salts, l.end, l.latest = [8]byte{}, 0, nil
		return nil, err
	}
	if salts != l.salts || end == 0 && before == nil {
		before = nil // of an older log: all of it is in the database
	}
	rows := make(map[uint32][]int64, len(roots))
	for _, root := range roots {
		old, err := l.leaves(root, before)
		if err != nil {
			return nil, err
		}
		current, err := l.leaves(root, l.latest)
		if err != nil {
			return nil, err
		}
		was, err := l.cells(old, before, func(page uint32) bool { return changed[page] || !current[page] })
		if err != nil {
			return nil, err
		}
		is, err := l.cells(current, l.latest, func(page uint32) bool { return changed[page] || !old[page] })
		if err != nil {
			return nil, err
		}
		for id, cell := range is {
			if old, ok := was[id]; !ok || old != cell {
				rows[root] = append(rows[root], id)
			}
		}
		for id := range was {
			if _, ok := is[id]; !ok {
				rows[root] = append(rows[root], id)
			}
		}
		if len(rows[root]) > maxHints {
			return nil, errNoHint
		}
	}
	return rows, nil
}

// advance reads the frames up to the last commit, and returns the pages that they
// change.
func (l *Log) advance() (changed pageSet, err error) {
	var header [logHeader]byte
	if _, err := l.log.read(header[:]); err != nil {
		return nil, err
	}
	pageSize := int(binary.BigEndian.Uint32(header[8:]))
	if binary.BigEndian.Uint32(header[:])&^1 != logMagic || pageSize < 512 || pageSize > 1<<16 || pageSize&(pageSize-1) != 0 {
		return nil, errNoHint
	}
	var first [100]byte
	if _, err := l.database.read(first[:]); err != nil {
		return nil, err
	}
	l.pageSize, l.usable = pageSize, pageSize-int(first[20])
	if salts := [8]byte(header[16:24]); salts != l.salts {
		l.salts, l.end, l.latest = salts, 0, nil
	}
	latest := make(map[uint32]uint32, len(l.latest))
	for page, frame := range l.latest {
		latest[page] = frame
	}
	changed = make(pageSet)
	var open []uint32 // pages of frames behind the last commit
	end := l.end
	for n := l.end + 1; ; n++ {
		var frame [frameHeader]byte
		if err := l.log.readAt(frame[:], l.offset(n)-frameHeader); err != nil || [8]byte(frame[8:16]) != l.salts {
			break
		}
		if n > maxFrames {
			return nil, errNoHint
		}
		open = append(open, binary.BigEndian.Uint32(frame[:]))
		if binary.BigEndian.Uint32(frame[4:]) == 0 {
			continue
		}
		for i, page := range open {
			latest[page] = n - uint32(len(open)-1-i)
			changed[page] = true
		}
		open, end = open[:0], n
	}
	l.latest, l.end = latest, end
	return changed, nil
}

// offset is where the page of the n-th frame begins in the log.
func (l *Log) offset(n uint32) int64 {
	return logHeader + int64(n-1)*int64(frameHeader+l.pageSize) + frameHeader
}

// page reads a page as it is with the frames of the log that are given.
func (l *Log) page(number uint32, frames map[uint32]uint32) (page, error) {
	data := make([]byte, l.pageSize)
	var err error
	if n, ok := frames[number]; ok {
		err = l.log.readAt(data, l.offset(n))
	} else {
		err = l.database.readAt(data, int64(number-1)*int64(l.pageSize))
	}
	if err != nil {
		return page{}, fmt.Errorf("sqlitefile: reading page %d: %w", number, err)
	}
	p := page{data: data, usable: l.usable}
	if number == 1 {
		p.header = 100
	}
	return p, nil
}

// cells returns the cells of the rows on those of a table's leaves that are wanted. A leaf
// that was given up is not written: it is missing in the newer tree.
func (l *Log) cells(leaves pageSet, frames map[uint32]uint32, wanted func(uint32) bool) (map[int64]string, error) {
	cells := make(map[int64]string)
	for number := range leaves {
		if !wanted(number) {
			continue
		}
		p, err := l.page(number, frames)
		if err != nil {
			return nil, err
		}
		if err := p.rows(func(id int64, cell []byte) { cells[id] = string(cell) }); err != nil {
			return nil, err
		}
	}
	return cells, nil
}

// pageSet is a set of pages.
type pageSet map[uint32]bool

// leaves returns the table's leaf pages. All of them are equally deep, so only the pages
// above them are read.
func (l *Log) leaves(root uint32, frames map[uint32]uint32) (pageSet, error) {
	level := []uint32{root}
	visited := 0
	for range maxDepth {
		first, err := l.page(level[0], frames)
		if err != nil {
			return nil, err
		}
		if first.kind() == leafTable {
			leaves := make(pageSet, len(level))
			for _, number := range level {
				leaves[number] = true
			}
			return leaves, nil
		}
		var below []uint32
		for _, number := range level {
			if visited++; visited > maxVisited {
				return nil, errNoHint
			}
			p, err := l.page(number, frames)
			if err != nil {
				return nil, err
			}
			if below, err = p.children(below); err != nil {
				return nil, err
			}
		}
		level = below
	}
	return nil, errNoHint
}
