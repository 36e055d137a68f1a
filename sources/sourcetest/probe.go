package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// probe is what a case works with.
type probe struct {
	h      Harness
	can    Abilities
	within time.Duration
	sink   *follower
	source driver.Source
	runs   []*watch
}

func newProbe(h Harness, within time.Duration) *probe {
	return &probe{h: h, can: h.Abilities(), within: within, sink: newFollower(h, within), source: h.Source()}
}

// watch is a source being watched, as the registry does it.
type watch struct {
	p      *probe
	cancel context.CancelFunc
	done   chan struct{}
	err    error // why it was given up
}

// start has the source watch, and again after failures.
func (p *probe) start() *watch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{p: p, cancel: cancel, done: make(chan struct{})}
	p.runs = append(p.runs, w)
	p.sink.end(false)
	go func() {
		defer close(w.done)
		defer p.sink.end(true)
		for pause := p.within / 1000; ; pause = min(2*pause, p.within/10) {
			err := p.watchOnce(ctx)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				err = errors.New("the call of Watch returned nil before its context was done")
			}
			if driver.IsPermanent(err) {
				w.err = err
				return
			}
			p.sink.Lost(err)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
		}
	}()
	return w
}

// watchOnce calls Watch. A panic is a failure like others, as for the registry.
func (p *probe) watchOnce(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic in Watch: %v", r)
		}
	}()
	return p.source.Watch(ctx, p.sink)
}

// stop stops the source and waits until Watch has returned.
func (w *watch) stop() error {
	w.cancel()
	select {
	case <-w.done:
		return nil
	case <-time.After(w.p.within):
		return fmt.Errorf("the call of Watch did not return within %v of the end of its context; all goroutines:\n%s", w.p.within, stacks())
	}
}

func (p *probe) stopAll() error {
	var errs []error
	for _, w := range p.runs {
		errs = append(errs, w.stop())
	}
	p.runs = nil
	return errors.Join(errs...)
}

// startWatching binds the tables, starts the source and waits until it watches.
func (p *probe) startWatching(ctx context.Context) (*watch, error) {
	p.sink.bind(p.h.Schemas())
	w := p.start()
	return w, p.awaitWatching(ctx, w)
}

func (p *probe) awaitWatching(ctx context.Context, w *watch) error {
	err := p.await(ctx, "the source does not say Watching", func() (bool, error) {
		select {
		case <-w.done:
			return false, fmt.Errorf("the source gave up: %w", w.err)
		default:
		}
		p.sink.mu.Lock()
		defer p.sink.mu.Unlock()
		return p.sink.watching > 0, nil
	})
	if err == nil {
		return nil
	}
	p.sink.mu.Lock()
	defer p.sink.mu.Unlock()
	return errors.Join(append([]error{err}, p.sink.losses...)...)
}

// await waits until a condition holds. It is asked again whenever the source has
// called the sink, and now and then. problem is what to say when it does not.
func (p *probe) await(ctx context.Context, problem string, condition func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, p.within)
	defer cancel()
	now := time.NewTicker(max(p.within/100, time.Millisecond))
	defer now.Stop()
	for {
		p.sink.mu.Lock()
		news := p.sink.news
		p.sink.mu.Unlock()
		if ok, err := condition(); ok || err != nil {
			return err
		}
		select {
		case <-news:
		case <-now.C:
		case <-ctx.Done():
			return fmt.Errorf("%s (waited %v)", problem, p.within)
		}
	}
}

// converge waits until everything that was written has been reported, and no
// announcement is open.
func (p *probe) converge(ctx context.Context, after string) error {
	var behind string
	var open int
	err := p.await(ctx, "", func() (bool, error) {
		var err error
		behind, err = p.sink.behind()
		p.sink.mu.Lock()
		defer p.sink.mu.Unlock()
		open = p.sink.open
		return behind == "" && open == 0, err
	})
	switch {
	case behind != "":
		return fmt.Errorf("after %s not everything was reported when it could be read (waited %v): %s", after, p.within, behind)
	case open != 0:
		return fmt.Errorf("after %s %d announcements were neither confirmed nor withdrawn (waited %v)", after, open, p.within)
	}
	return err
}

// reported returns the changes reported since the mark.
func (p *probe) reported(since int) []driver.Change {
	p.sink.mu.Lock()
	defer p.sink.mu.Unlock()
	return p.sink.changes[since:len(p.sink.changes):len(p.sink.changes)]
}

// mark returns the place after everything reported so far.
func (p *probe) mark() int {
	p.sink.mu.Lock()
	defer p.sink.mu.Unlock()
	return len(p.sink.changes)
}

// write writes and waits until it was reported.
func (p *probe) write(ctx context.Context, what string, writes ...Write) error {
	if err := p.h.Write(ctx, writes...); err != nil {
		return fmt.Errorf("the harness cannot make %s: %w", what, err)
	}
	return p.converge(ctx, what)
}

// table is the table that is written to.
func (p *probe) table() driver.Table { return p.h.Schemas()[0].Table }

// wholesale reports whether the changes name the whole table that is written.
func (p *probe) wholesale(changes []driver.Change) bool {
	for _, c := range changes {
		if concerns(c, p.table()) && isWhole(c) && !c.Compare {
			return true
		}
	}
	return false
}

// byKey reports whether the changes name rows of it.
func (p *probe) byKey(changes []driver.Change) bool {
	for _, c := range changes {
		if c.Table == p.table() && len(c.Keys) > 0 {
			return true
		}
	}
	return false
}
