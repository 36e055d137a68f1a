package authorizing

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/binderyhq/bindery/core/live"
)

// Right is what the authorizer has allowed somebody: the access of type A, within a
// scope that a text names.
type Right[A any] struct {
	Access A
	Scope  string
}

// Subscribers are those whose right to read is asked about again while they
// subscribe. The zero value is ready to use.
type Subscribers[A any] struct {
	round atomic.Uint64

	mu  sync.Mutex
	all map[*subscriber[A]]struct{} // guarded by mu
}

type subscriber[A any] struct {
	ctx   context.Context // who asks; it never ends
	right Right[A]
	sub   *live.Subscription
}

// Round returns the number of the round of questions that is under way. A right that
// was given before it began may be outdated.
func (s *Subscribers[A]) Round() uint64 { return s.round.Load() }

// NextRound outdates all rights given so far.
func (s *Subscribers[A]) NextRound() { s.round.Add(1) }

// Subscribe begins a subscription to the view that ends when [Subscribers.Recheck]
// finds that the right has gone. The values of ctx say who subscribes.
func (s *Subscribers[A]) Subscribe(ctx context.Context, view *live.View, r Right[A], opts live.SubscribeOptions) *live.Subscription {
	one := &subscriber[A]{ctx: context.WithoutCancel(ctx), right: r}
	closed := opts.OnClose
	opts.OnClose = func() {
		s.remove(one)
		if closed != nil {
			closed()
		}
	}
	one.sub = view.Subscribe(opts)
	s.add(one)
	return one.sub
}

func (s *Subscribers[A]) add(one *subscriber[A]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[*subscriber[A]]struct{})
	}
	s.all[one] = struct{}{}
}

func (s *Subscribers[A]) remove(one *subscriber[A]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, one)
}

func (s *Subscribers[A]) list() []*subscriber[A] {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*subscriber[A], 0, len(s.all))
	for one := range s.all {
		all = append(all, one)
	}
	return all
}

// maxAsking bounds how many questions Recheck asks at a time.
const maxAsking = 16

// Recheck asks about every subscriber. ask returns why the subscription ends, nil when
// it goes on, or an error when there was no answer: then it goes on too. Recheck joins
// those errors, or returns the error of ctx when that ends first.
func (s *Subscribers[A]) Recheck(ctx context.Context, ask func(context.Context, Right[A]) (end, err error)) error {
	var (
		asking sync.WaitGroup
		mu     sync.Mutex
		errs   []error // guarded by mu
	)
	free := make(chan struct{}, maxAsking)
	for _, one := range s.list() {
		if ctx.Err() != nil {
			break
		}
		free <- struct{}{}
		asking.Go(func() {
			defer func() { <-free }()
			if err := one.recheck(ctx, ask); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	asking.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(errs...)
}

func (one *subscriber[A]) recheck(ctx context.Context, ask func(context.Context, Right[A]) (end, err error)) error {
	own, cancel := context.WithCancel(one.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	end, err := ask(own, one.right)
	if end != nil {
		one.sub.End(end)
	}
	return err
}
