package warmstart

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/live"
)

// Suffixes of the files.
const (
	suffix     = ".snapshot"
	tempSuffix = ".snapshot.tmp"
)

// tempAge is the age from which an unfinished file is taken for one of a process that
// died.
const tempAge = time.Hour

// store is the directory of the snapshots of one database.
type store struct {
	dir      string
	database databaseID
	maxBytes int64
}

func (s *store) path(binding string) string { return filepath.Join(s.dir, binding+suffix) }

// prepare makes the directory, and removes the unfinished files of processes that died.
func (s *store) prepare(now time.Time) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("the directory of snapshots: %w", err)
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("the directory of snapshots: %w", err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), tempSuffix) {
			continue
		}
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > tempAge {
			_ = os.Remove(filepath.Join(s.dir, e.Name())) // the next start tries again
		}
	}
	return nil
}

// names returns the names of the bindings that have files.
func (s *store) names() []string {
	entries, _ := os.ReadDir(s.dir) // an unreadable directory has no files
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), suffix); ok {
			names = append(names, name)
		}
	}
	return names
}

// found reports whether a file names this database in its header.
func (s *store) found() bool {
	for _, name := range s.names() {
		f, err := os.Open(s.path(name))
		if err != nil {
			continue
		}
		b := make([]byte, fixedSize+2*(2+maxText))
		n, _ := io.ReadFull(f, b)
		_ = f.Close() // it was read only
		if h, err := readHeader(b[:n]); err == nil && h.database == s.database && h.name == name {
			return true
		}
	}
	return false
}

// read returns the saved rows of a binding, and the size of its file. The error wraps
// [os.ErrNotExist] if there is no file.
func (s *store) read(binding string) (live.Saved, int64, error) {
	info, err := os.Stat(s.path(binding))
	if err != nil {
		return live.Saved{}, 0, err
	}
	if info.Size() > s.maxBytes {
		return live.Saved{}, info.Size(), errTooLarge
	}
	b, err := os.ReadFile(s.path(binding))
	if err != nil {
		return live.Saved{}, info.Size(), err
	}
	saved, err := decode(b, s.database, binding)
	return saved, int64(len(b)), err
}

// write replaces the file of a binding. If it fails, or the context ends, the old file
// stays.
func (s *store) write(ctx context.Context, f *file) (err error) {
	temp, err := os.CreateTemp(s.dir, f.name+".*"+tempSuffix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name()) // prepare removes it else
		}
	}()
	err = f.write(&until{ctx, temp})
	if err == nil {
		err = temp.Sync()
	}
	if cerr := temp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = os.Rename(temp.Name(), s.path(f.name))
	}
	if err == nil {
		err = s.sync()
	}
	return err
}

// sync makes the directory's entries durable. Windows needs no such call.
func (s *store) sync() error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// remove removes the file of a binding.
func (s *store) remove(binding string) error { return os.Remove(s.path(binding)) }

// until is a writer that fails once the context has ended.
type until struct {
	ctx context.Context
	w   io.Writer
}

func (u *until) Write(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.w.Write(b)
}
