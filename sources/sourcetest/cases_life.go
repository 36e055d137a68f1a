package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"time"
)

func caseLink(ctx context.Context, p *probe) error {
	b, ok := p.h.(Breaker)
	if !ok {
		return skipError{"the harness is no Breaker"}
	}
	if _, err := p.startWatching(ctx); err != nil {
		return err
	}
	for round := range 2 {
		p.sink.mu.Lock()
		losses := len(p.sink.losses)
		p.sink.watching = 0
		p.sink.mu.Unlock()
		if err := b.Break(ctx); err != nil {
			return fmt.Errorf("the harness cannot break the link: %w", err)
		}
		if err := p.h.Write(ctx, Write{Kind: Update, ID: 1, Value: 40 + round}, Write{Kind: Delete, ID: 4 + round}); err != nil {
			return fmt.Errorf("the harness cannot write while the link is broken: %w", err)
		}
		err := p.await(ctx, "the link is broken, and neither was Lost called nor has Watch returned", func() (bool, error) {
			p.sink.mu.Lock()
			defer p.sink.mu.Unlock()
			return len(p.sink.losses) > losses, nil
		})
		if restoreErr := b.Restore(ctx); restoreErr != nil {
			return errors.Join(err, fmt.Errorf("the harness cannot restore the link: %w", restoreErr))
		}
		if err != nil {
			return err
		}
		err = p.await(ctx, "the link is restored, and Watching is not called anew", func() (bool, error) {
			p.sink.mu.Lock()
			defer p.sink.mu.Unlock()
			return p.sink.watching > 0, nil
		})
		if err != nil {
			return err
		}
		if err := p.converge(ctx, "the link was restored"); err != nil {
			return err
		}
		if err := p.write(ctx, "a write after that", Write{Kind: Update, ID: 2, Value: 50 + round}); err != nil {
			return err
		}
	}
	return nil
}

func caseCancelledStart(_ context.Context, p *probe) error {
	p.sink.bind(p.h.Schemas())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.source.Watch(ctx, p.sink) // whatever it says: the context was done
	}()
	select {
	case <-done:
		return nil
	case <-time.After(p.within):
		return fmt.Errorf("the call of Watch did not return within %v, although its context was done from the start; all goroutines:\n%s", p.within, stacks())
	}
}

func caseStop(ctx context.Context, p *probe) error {
	w, err := p.startWatching(ctx)
	if err != nil {
		return err
	}
	if err := p.write(ctx, "a write", Write{Kind: Update, ID: 1, Value: 60}); err != nil {
		return err
	}
	if err := w.stop(); err != nil {
		return err
	}
	// What calls the sink from now on is noted as a violation.
	if err := p.h.Write(ctx, Write{Kind: Update, ID: 1, Value: 61}, Write{Kind: Insert, ID: 111, Value: 1}); err != nil {
		return fmt.Errorf("the harness cannot write after the source has stopped: %w", err)
	}
	return w.stop()
}

func caseStopWhileWaiting(ctx context.Context, p *probe) error {
	w, err := p.startWatching(ctx)
	if err != nil {
		return err
	}
	stuck := make(chan struct{})
	defer close(stuck)
	p.sink.mu.Lock()
	p.sink.stuck = stuck
	p.sink.mu.Unlock()
	mark := p.mark()
	wrote := make(chan error, 1)
	go func() { wrote <- p.h.Write(ctx, Write{Kind: Update, ID: 1, Value: 70}) }()
	err = p.await(ctx, "a write was not reported", func() (bool, error) { return len(p.reported(mark)) > 0, nil })
	err = errors.Join(err, w.stop())
	select {
	case writeErr := <-wrote:
		return errors.Join(err, writeErr)
	case <-time.After(p.within):
		return errors.Join(err, fmt.Errorf("a write waits for a receipt that does not end, without bound (waited %v)", p.within))
	}
}

func caseAgain(ctx context.Context, p *probe) error {
	for i := range 3 {
		p.sink.mu.Lock()
		p.sink.watching = 0
		p.sink.mu.Unlock()
		w, err := p.startWatching(ctx)
		if err != nil {
			return fmt.Errorf("call %d of Watch: %w", i+1, err)
		}
		if err := p.write(ctx, fmt.Sprintf("call %d of Watch and a write", i+1), Write{Kind: Update, ID: 1, Value: 80 + i}); err != nil {
			return err
		}
		if err := w.stop(); err != nil {
			return err
		}
		if err := p.h.Write(ctx, Write{Kind: Update, ID: 2, Value: 80 + i}); err != nil {
			return fmt.Errorf("the harness cannot write while the source is stopped: %w", err)
		}
	}
	return nil
}

// caseStartStop stops the source at different moments of its start.
func caseStartStop(ctx context.Context, p *probe) error {
	p.sink.bind(p.h.Schemas())
	for i := range 10 {
		w := p.start()
		p.sink.mu.Lock()
		news := p.sink.news
		p.sink.mu.Unlock()
		if i%2 == 0 {
			select {
			case <-news: // its first word
			case <-time.After(time.Duration(i) * time.Millisecond):
			}
		}
		if err := w.stop(); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}
