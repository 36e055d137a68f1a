package transporttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Writes made while a client does not read, in rows of slowRow bytes: far more than the
// sockets in between can hold.
const (
	slowRow    = 64 << 10
	slowWrites = 200
)

var clientCases = []rule{
	{
		name:  "a client that does not read",
		rule:  "it holds up neither writers nor other clients; what it missed is not kept for it but merged, and then it is current",
		setup: setup{rows: 5},
		run: func(ctx context.Context, r *rig) error {
			slow, err := r.follow(ctx, items)
			if err != nil {
				return err
			}
			quick, err := r.follow(ctx, items)
			if err != nil {
				return err
			}
			for i := range slowWrites {
				if err := r.put(ctx, item{ID: 1, Name: large(r.name(), slowRow)}); err != nil {
					return fmt.Errorf("while a client does not read: %w", err)
				}
				if i%16 > 0 {
					continue
				}
				if err := quick.until(ctx, r.token(items)); err != nil {
					return fmt.Errorf("while another client does not read: %w", err)
				}
			}
			slow.bytes = 0
			if err := slow.catchUp(ctx); err != nil {
				return err
			}
			if total := slowRow * slowWrites; slow.bytes > total*3/4 {
				return fmt.Errorf("a client that had not read was sent %d of %d bytes: they were kept for it", slow.bytes, total)
			}
			return nil
		},
	},
	{
		name:  "clients that vanish",
		rule:  "a client that goes without a word leaves no subscription behind; a transport that does not stream keeps none at all",
		setup: setup{rows: 5},
		run: func(ctx context.Context, r *rig) error {
			var followers []*follower
			for range 20 {
				f, err := r.follow(ctx, items)
				if err != nil {
					return err
				}
				followers = append(followers, f)
			}
			if r.can.Streams {
				if r.view(items).Counts().Subscribers == 0 {
					return errors.New("20 clients are connected and the binding has no subscriber: Abilities.Streams is declared")
				}
				for _, f := range followers {
					f.drop()
				}
			}
			// Some ways of vanishing show only when something is written.
			return r.subscribers(ctx, items, func(n int) bool { return n == 0 }, func() error {
				return r.put(ctx, item{ID: 1, Name: r.name()})
			})
		},
	},
	{
		name:  "many clients at once",
		rule:  "each of many clients of several bindings sees every promise kept, while they come and go and writes go on",
		setup: setup{rows: 50},
		run: func(ctx context.Context, r *rig) error {
			const clients, writes = 40, 60
			written := make(chan struct{})
			errs := make([]error, clients+1)
			var wg sync.WaitGroup
			for i := range clients {
				wg.Go(func() {
					errs[i] = r.comeAndGo(ctx, []string{items, visible, short}[i%3], uint64(i), written)
				})
			}
			wg.Go(func() {
				defer close(written)
				rnd := randomness(5)
				for range writes {
					if errs[clients] = r.write(ctx, rnd); errs[clients] != nil {
						return
					}
				}
			})
			wg.Wait()
			return errors.Join(errs...)
		},
	},
}

// catchUp follows up to the current version. A client that did not read may have been
// disconnected; then it reconnects.
func (f *follower) catchUp(ctx context.Context) error {
	token := f.r.token(f.binding)
	err := f.until(ctx, token)
	if broken := (*brokenError)(nil); errors.As(err, &broken) && ctx.Err() == nil {
		return errors.Join(f.connect(ctx), f.until(ctx, token))
	}
	return err
}

// comeAndGo follows the binding, and sometimes disconnects and comes back, until
// everything was written and it is current.
func (r *rig) comeAndGo(ctx context.Context, binding string, seed uint64, written <-chan struct{}) error {
	f, err := r.follow(ctx, binding)
	if err != nil {
		return err
	}
	rnd := randomness(seed)
	for ctx.Err() == nil {
		if isClosed(written) {
			return f.until(ctx, r.token(binding))
		}
		if rnd.IntN(8) == 0 {
			if err := errors.Join(f.connect(ctx), f.batch(ctx)); err != nil {
				return err
			}
		}
		if f.version == r.token(binding) { // perhaps nothing more will come
			_ = eventually(ctx, "there is something new", func() bool { return isClosed(written) || f.version != r.token(binding) })
			continue
		}
		if err := f.batch(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
