package transporttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core"
)

// shutdownTimeout bounds a shutdown, as a supervisor that restarts programs usually
// does.
const shutdownTimeout = 10 * time.Second

var shutdownCases = []rule{
	{
		name:  "shutdown without clients",
		rule:  "a transport that nobody has used ends as well",
		setup: setup{rows: 5},
		run:   func(ctx context.Context, r *rig) error { return r.shutdown(ctx) },
	},
	{
		name:  "shutdown ends connections",
		rule:  "open connections end in good order, after a whole batch, before the deadline; nobody is served afterwards",
		setup: setup{rows: 1500},
		run: func(ctx context.Context, r *rig) error {
			ends, err := r.readToTheEnd(ctx, 10, r.reg.Stopping().Done())
			if err != nil {
				return err
			}
			if err := errors.Join(r.shutdown(ctx), ends()); err != nil {
				return err
			}
			return r.closed(ctx)
		},
	},
	{
		name:  "drain",
		rule:  "a transport that drains ends its connections in good order while it goes on to serve: who comes meanwhile is served, and resumes",
		setup: setup{rows: 1500},
		run: func(ctx context.Context, r *rig) error {
			if _, ok := r.Transport().(core.Drainer); !ok {
				return nil
			}
			if r.can.Streams {
				begins := make(chan struct{})
				ends, err := r.readToTheEnd(ctx, 10, begins)
				if err != nil {
					return err
				}
				close(begins)
				if err := errors.Join(r.reg.Drain(ctx, 50*time.Millisecond), ends()); err != nil {
					return err
				}
			} else if err := r.reg.Drain(ctx, time.Millisecond); err != nil {
				return err
			}
			if rd := r.reg.Ready(); rd.Ready || !rd.Draining {
				return fmt.Errorf("while it drains, the registry says %+v", rd)
			}
			f, err := r.follow(ctx, items)
			if err != nil {
				return fmt.Errorf("a client that comes while everything drains: %w", err)
			}
			f.drop()
			return errors.Join(r.shutdown(ctx), r.closed(ctx))
		},
	},
	{
		name:  "shutdown of the server first",
		rule:  "an HTTP server that is shut down waits for open streams without telling them: they find out, and it need not wait until its deadline",
		setup: setup{rows: 1500},
		run: func(ctx context.Context, r *rig) error {
			begins := make(chan struct{})
			ends, err := r.readToTheEnd(ctx, 10, begins)
			if err != nil {
				return err
			}
			close(begins)
			server, cancel := context.WithTimeout(ctx, shutdownTimeout)
			defer cancel()
			if err := r.StopServer(server); errors.Is(err, ErrUnsupported) {
				return errors.Join(r.shutdown(ctx), ends())
			} else if err != nil {
				return errors.Join(fmt.Errorf("shutting down the server: %w", err), r.shutdown(ctx), ends())
			}
			if err := ends(); err != nil {
				return err
			}
			return r.shutdown(ctx)
		},
	},
	{
		name:  "shutdown while a client does not read",
		rule:  "who does not take what is being sent is cut off, so that the shutdown ends before its deadline",
		setup: setup{rows: 5},
		run: func(ctx context.Context, r *rig) error {
			if _, err := r.follow(ctx, items); err != nil {
				return err
			}
			for range slowWrites {
				if err := r.put(ctx, item{ID: 1, Name: large(r.name(), slowRow)}); err != nil {
					return err
				}
			}
			return r.shutdown(ctx)
		},
	},
	{
		name:  "shutdown while clients come",
		rule:  "who comes too late is refused, or is served and ended; nobody is left over",
		setup: setup{rows: 50},
		run: func(ctx context.Context, r *rig) error {
			const clients = 20
			errs := make([]error, clients)
			begun := make(chan struct{}, clients)
			over := make(chan struct{})
			var wg sync.WaitGroup
			for i := range clients {
				wg.Go(func() {
					told := false
					for {
						last := isClosed(over)
						if f := r.newFollower(items); f.connect(ctx) == nil {
							// The connection ends in good order, or the client is told
							// that it is too late.
							if err := f.toTheEndOrLate(ctx, r, begun, &told); err != nil {
								errs[i] = err
								return
							}
							f.drop()
						}
						if last || ctx.Err() != nil {
							return
						}
					}
				})
			}
			for range clients {
				select {
				case <-begun:
				case <-ctx.Done():
				}
			}
			err := r.shutdown(ctx)
			close(over)
			wg.Wait()
			return errors.Join(append(errs, err)...)
		},
	},
}

// shutdown shuts the registry down, before the deadline.
func (r *rig) shutdown(ctx context.Context) error {
	end, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	if err := r.reg.Shutdown(end); err != nil {
		return fmt.Errorf("shutting down the registry within %v: %w", shutdownTimeout, err)
	}
	return nil
}

// readToTheEnd makes clients read on, each until its connection ends. The function that
// it returns waits for all of them.
//
// Every other client reads only the beginning of its first batch, and goes on when the
// channel is closed.
func (r *rig) readToTheEnd(ctx context.Context, clients int, goOn <-chan struct{}) (ends func() error, err error) {
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		f := r.newFollower(items)
		if err := f.connect(ctx); err != nil {
			return nil, err
		}
		take := f.batch
		if i%2 > 0 {
			take = f.anyMessage
		}
		if err := take(ctx); err != nil {
			return nil, err
		}
		wg.Go(func() {
			if len(f.pending) > 0 {
				<-goOn
			}
			err := f.toTheEnd(ctx)
			if broken := (*brokenError)(nil); !r.can.Streams && errors.As(err, &broken) {
				err = nil // it had no connection to end; its next request fails
			}
			if err != nil {
				errs[i] = fmt.Errorf("while everything is shut down: %w", err)
			}
		})
	}
	return func() error {
		wg.Wait()
		return errors.Join(errs...)
	}, nil
}

// closed checks that nobody is served any more.
func (r *rig) closed(ctx context.Context) error {
	c, err := r.connect(ctx, items, "")
	if err == nil {
		_, err = c.Next(ctx)
		c.Close()
	}
	if err == nil {
		return errors.New("a client is served after the shutdown")
	}
	if ctx.Err() != nil {
		return errors.New("a client waits after the shutdown")
	}
	return nil
}

// toTheEndOrLate takes messages until the connection ends, in good order or because it
// came too late to be served. It signals once when the first message has come.
func (f *follower) toTheEndOrLate(ctx context.Context, r *rig, begun chan<- struct{}, told *bool) error {
	for {
		done, err := f.message(ctx)
		if done && !*told {
			*told = true
			begun <- struct{}{}
		}
		if broken := (*brokenError)(nil); errors.As(err, &broken) && ctx.Err() == nil && r.reg.Stopping().Err() != nil {
			return nil
		}
		if err != nil {
			return ignoreEnd(err)
		}
	}
}
