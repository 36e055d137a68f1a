package sqlitefile

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// Alarm tells when the files of a database are written.
type Alarm struct {
	watcher *fsnotify.Watcher
	done    sync.WaitGroup
}

// NewAlarm watches the directory of the database file, and calls ring, from one
// goroutine, each time that the files have been written. ring must not block. A
// commit may become visible a moment later. The error says that the system cannot
// watch files, or has no watch left.
func NewAlarm(path string, ring func()) (*Alarm, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("sqlitefile: watching %q: %w", path, err)
	}
	if err := w.Add(filepath.Dir(path)); err != nil {
		_ = w.Close() // it watches nothing
		return nil, fmt.Errorf("sqlitefile: watching %q: %w", path, err)
	}
	a := &Alarm{watcher: w}
	base := filepath.Base(path)
	a.done.Go(func() {
		for {
			select {
			case e, ok := <-w.Events:
				if !ok {
					return
				}
				// The index (-shm) is mapped into memory: writing it makes no event.
				name := strings.TrimPrefix(filepath.Base(e.Name), base)
				if name != "" && name != "-wal" && name != "-journal" {
					continue
				}
			case _, ok := <-w.Errors: // events were lost
				if !ok {
					return
				}
			}
			ring()
		}
	})
	return a, nil
}

// Close ends the watching, and returns when its goroutine has ended.
func (a *Alarm) Close() {
	_ = a.watcher.Close() // only its events ended
	a.done.Wait()
}
