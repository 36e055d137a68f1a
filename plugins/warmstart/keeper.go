package warmstart

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

// share bounds the time for writing one binding to one part in so many.
const share = 50

// keeper writes snapshots when they are due.
type keeper struct {
	reg   *core.Registry
	cfg   Config
	store *store
	wake  chan struct{} // capacity 1
	ctx   context.Context
	quit  context.CancelCauseFunc
	done  chan struct{} // closed when run has returned

	mu   sync.Mutex // guards what follows
	kept map[string]*kept
}

// kept is the state of one binding.
type kept struct {
	view  *live.View // nil until it changes
	first time.Time  // time of the first unwritten change; zero: none
	last  time.Time  // time of the last unwritten change

	// Only the keeper's goroutine uses these once it runs.
	token     string // of the file; "" if there is no usable one
	size      int64  // of the file
	notBefore time.Time
	failure   string // of the last attempt, so that each is logged once
	unvalued  string // likewise, why Go values are not kept
	noRoom    bool   // that was logged
}

func newKeeper(reg *core.Registry, cfg Config, s *store) *keeper {
	k := &keeper{reg: reg, cfg: cfg, store: s, wake: make(chan struct{}, 1), done: make(chan struct{}), kept: make(map[string]*kept)}
	k.ctx, k.quit = context.WithCancelCause(context.Background())
	return k
}

func (k *keeper) of(binding string) *kept {
	one := k.kept[binding]
	if one == nil {
		one = &kept{}
		k.kept[binding] = one
	}
	return one
}

// has notes that a file exists, and whether it can be used.
func (k *keeper) has(binding, token string, size int64, useful bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	one := k.of(binding)
	if one.size = size; useful {
		one.token = token
	}
}

// changed notes that a binding has another version. It does not block.
func (k *keeper) changed(v *live.View) {
	now := time.Now()
	k.mu.Lock()
	one := k.of(v.Name())
	idle := one.first.IsZero()
	if one.view, one.last = v, now; idle {
		one.first = now
	}
	k.mu.Unlock()
	if idle {
		select {
		case k.wake <- struct{}{}:
		default:
		}
	}
}

func (k *keeper) start() { go k.run() }

// run writes the snapshots that are due until stop is called. stop writes the rest.
func (k *keeper) run() {
	defer close(k.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-k.reg.Stopping().Done():
			return // stop writes the rest
		case <-k.ctx.Done():
			return
		case <-k.wake:
		case <-timer.C:
		}
		for {
			name, wait := k.next(time.Now())
			if name == "" {
				timer.Stop()
				break
			}
			if wait > 0 {
				timer.Reset(wait)
				break
			}
			_ = k.save(k.ctx, name) // it was logged
			if k.ctx.Err() != nil {
				return
			}
		}
	}
}

// next returns the binding to write first, and how long to wait before that; "" if no
// binding has changed.
func (k *keeper) next(now time.Time) (name string, wait time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var at time.Time
	for _, n := range sortedNames(k.kept) {
		one := k.kept[n]
		if one.first.IsZero() {
			continue
		}
		due := one.last.Add(k.cfg.Quiet)
		if latest := one.first.Add(k.cfg.MaxDelay); latest.Before(due) {
			due = latest
		}
		if due.Before(one.notBefore) {
			due = one.notBefore
		}
		if name == "" || due.Before(at) {
			name, at = n, due
		}
	}
	return name, at.Sub(now)
}

// stop ends the goroutine, and writes the bindings that have changed.
func (k *keeper) stop(ctx context.Context) error {
	select {
	case <-k.done: // the registry is stopping
	case <-ctx.Done():
		k.quit(ctx.Err())
		<-k.done // a write under way ends at its next piece
	}
	defer k.quit(nil)
	var errs []error
	k.mu.Lock()
	names := sortedNames(k.kept)
	k.mu.Unlock()
	for _, name := range names {
		if err := k.save(ctx, name); err != nil && ctx.Err() == nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...) // bindings without a new snapshot keep their old one; this was logged
}

// save writes a binding, if it has changed.
func (k *keeper) save(ctx context.Context, name string) error {
	k.mu.Lock()
	one := k.kept[name]
	first := one.first
	one.first = time.Time{} // a change from now on is another one
	k.mu.Unlock()
	if first.IsZero() {
		return nil
	}
	begun := time.Now()
	err := k.write(ctx, name, one)
	one.notBefore = time.Now().Add(max(k.cfg.MinInterval, share*time.Since(begun)))
	text := ""
	if err != nil {
		text = err.Error()
		k.mu.Lock()
		if one.first.IsZero() { // no change since, but this one is still unwritten
			one.first = first
		}
		k.mu.Unlock()
	}
	if text != "" && text != one.failure {
		k.reg.Logger().Warn("warmstart: a snapshot cannot be written; the old one stays, if there is one", slog.String("id", "warmstart-unwritten"),
			slog.String("file", k.store.path(name)), slog.Any("error", err))
	}
	one.failure = text
	return err
}

func (k *keeper) write(ctx context.Context, name string, one *kept) error {
	k.mu.Lock()
	view := one.view
	k.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("warmstart: writing binding %q: %w", name, err)
	}
	if view.Version().Token == one.token {
		return nil // it is back at the version in the file
	}
	saved, unvalued, err := k.reg.Saved(view)
	switch {
	case errors.Is(err, live.ErrNotLoaded), errors.Is(err, core.ErrUnknownBinding), errors.Is(err, errors.ErrUnsupported):
		return nil // it was restored and has not been read, was removed, or is followed from another node
	case err != nil:
		return fmt.Errorf("warmstart: %w", err)
	}
	k.tellUnvalued(name, one, unvalued)
	f := newFile(k.store.database, name, saved)
	if k.total(name)+f.size() > k.cfg.MaxBytes {
		return k.drop(name, one, f.size())
	}
	if err := k.store.write(ctx, f); err != nil {
		return fmt.Errorf("warmstart: writing binding %q: %w", name, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	one.token, one.size, one.noRoom = saved.Token, f.size(), false
	return nil
}

// tellUnvalued logs, once, why Go code will have to wait for the database after a
// restart.
func (k *keeper) tellUnvalued(name string, one *kept, why error) {
	text := ""
	if why != nil {
		text = why.Error()
	}
	if text != "" && one.unvalued == "" {
		k.reg.Logger().Info("warmstart: after a restart Go code will find no rows of the binding until the database has been read; clients will",
			slog.String("id", "warmstart-unvalued"), slog.String("binding", name), slog.Any("error", why))
	}
	one.unvalued = text
}

// total returns the size of all files except that of the binding.
func (k *keeper) total(but string) (bytes int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, one := range k.kept {
		if name != but {
			bytes += one.size
		}
	}
	return bytes
}

// drop gives up a binding for which there is no room. It removes the old snapshot,
// which would only grow older.
func (k *keeper) drop(name string, one *kept, size int64) error {
	err := k.store.remove(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("warmstart: removing the snapshot of binding %q: %w", name, err)
	}
	k.mu.Lock()
	one.token, one.size = "", 0
	k.mu.Unlock()
	if !one.noRoom {
		k.reg.Logger().Warn("warmstart: there is no room for the snapshot of a binding; it is not kept", slog.String("id", "warmstart-no-room"),
			slog.String("binding", name), slog.Int64("bytes", size), slog.Int64("max", k.cfg.MaxBytes))
	}
	one.noRoom = true
	return nil
}
