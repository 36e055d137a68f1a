package sqlitefile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
)

// Reading is one reading of a Counter.
type Reading struct {
	// Commits is the number of commits. It wraps around.
	Commits uint32
	// Series identifies the count: numbers of two series cannot be compared. A new
	// one begins when the journal mode changes and when the file is replaced.
	Series uint64
}

// Counter reads the number of commits from the files of a database. Its methods
// may be called from any goroutine.
type Counter struct{ database, index *file }

// NewCounter returns the counter of the database file. It opens nothing. On Windows
// the error is ErrUnsupported, because there an open file could not be deleted.
func NewCounter(path string) (*Counter, error) {
	if runtime.GOOS == "windows" || path == "" {
		return nil, fmt.Errorf("sqlitefile: counting the commits of %q: %w", path, errors.ErrUnsupported)
	}
	return &Counter{database: fileOf(path), index: fileOf(path + "-shm")}, nil
}

const (
	// The database's header: see "The Database Header" in SQLite's file format.
	offsetReadVersion   = 19
	offsetChangeCounter = 24
	headerLength        = 28
	walReadVersion      = 2
	// The WAL index's header: see "WAL-Index File Format". Its first copy is
	// written last, and readers see a commit when both copies are written.
	offsetIndexChange = 8
	indexLength       = 12
)

// Read returns the number. In WAL mode all commits that it counts are visible;
// otherwise the last one may still be under way, or be rolled back. Reading the
// database afterwards shows which.
func (c *Counter) Read() (Reading, error) {
	var header [headerLength]byte
	series, err := c.database.read(header[:])
	if err != nil {
		return Reading{}, err
	}
	if header[offsetReadVersion] != walReadVersion {
		return Reading{binary.BigEndian.Uint32(header[offsetChangeCounter:]), 2 * series}, nil
	}
	var index [indexLength]byte
	series, err = c.index.read(index[:])
	if err != nil {
		return Reading{}, err
	}
	return Reading{binary.NativeEndian.Uint32(index[offsetIndexChange:]), 2*series + 1}, nil
}

// file is a file that is read beside SQLite.
//
// It stays open as long as its path leads to it. When a process closes any descriptor
// of a file, POSIX drops all its locks on that file, including those of SQLite's own
// connections.
type file struct {
	path string

	mu     sync.Mutex // guards what follows
	opened *os.File
	info   os.FileInfo
	series uint64 // counts the files that the path has led to
}

// files are all that was ever read, by path: one for each database, and two in
// WAL mode.
var files sync.Map // string -> *file

func fileOf(path string) *file {
	f, _ := files.LoadOrStore(path, &file{path: path})
	return f.(*file)
}

// read reads the file's beginning, and returns which file it was.
func (f *file) read(into []byte) (series uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return 0, fmt.Errorf("sqlitefile: %w", err)
	}
	if f.opened == nil || !os.SameFile(info, f.info) {
		if err := f.open(); err != nil {
			return 0, fmt.Errorf("sqlitefile: %w", err)
		}
	}
	if _, err := f.opened.ReadAt(into, 0); err != nil {
		return 0, fmt.Errorf("sqlitefile: reading %q: %w", f.path, err)
	}
	return f.series, nil
}

// readAt reads from the file whose beginning was read last.
func (f *file) readAt(into []byte, offset int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.opened == nil || offset < 0 {
		return ErrGap
	}
	_, err := f.opened.ReadAt(into, offset)
	return err
}

func (f *file) open() error {
	opened, err := os.Open(f.path)
	if err != nil {
		return err
	}
	info, err := opened.Stat()
	if err != nil {
		return err // the descriptor stays open, as above
	}
	if f.opened != nil {
		_ = f.opened.Close() // the path leads elsewhere now, so nobody needs its locks
	}
	f.opened, f.info = opened, info
	f.series++
	return nil
}
