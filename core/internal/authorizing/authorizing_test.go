package authorizing_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core/internal/authorizing"
	"github.com/binderyhq/bindery/core/live"
)

func TestAsk(t *testing.T) {
	var q authorizing.Questions
	ask := func(fn func(context.Context) (int, error)) (int, error) {
		return authorizing.Ask(&q, t.Context(), context.Background(), time.Minute, fn)
	}
	if n, err := ask(func(context.Context) (int, error) { return 7, nil }); n != 7 || err != nil {
		t.Errorf("the answer is %d, %v", n, err)
	}
	if _, err := ask(func(context.Context) (int, error) { panic("oops") }); err == nil || !strings.Contains(err.Error(), "panic in Authorize: oops") {
		t.Errorf("after a panic the error is %v", err)
	}
}

// TestDeafAuthorizer holds that nobody waits longer than the timeout for an authorizer
// that ignores its context, nor much longer than the shutdown; and that its goroutines
// are bounded.
func TestDeafAuthorizer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q authorizing.Questions
		wake := make(chan struct{})
		deaf := func(context.Context) (int, error) { <-wake; return 0, nil }
		if _, err := authorizing.Ask(&q, t.Context(), context.Background(), time.Second, deaf); !errors.Is(err, authorizing.ErrUnanswered) {
			t.Errorf("after the timeout the error is %v", err)
		}
		stopping, stop := context.WithCancel(t.Context())
		stop()
		if _, err := authorizing.Ask(&q, t.Context(), stopping, time.Hour, deaf); !errors.Is(err, live.ErrClosed) {
			t.Errorf("after the shutdown the error is %v", err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range authorizing.MaxQuestions - 2 {
			_, _ = authorizing.Ask(&q, gone, context.Background(), time.Hour, deaf)
		}
		if _, err := authorizing.Ask(&q, t.Context(), context.Background(), time.Hour, deaf); !errors.Is(err, authorizing.ErrTooMany) {
			t.Errorf("beyond the bound the error is %v", err)
		}
		close(wake)
		synctest.Wait()
		if _, err := authorizing.Ask(&q, t.Context(), context.Background(), time.Hour, deaf); err != nil {
			t.Errorf("when all have answered: %v", err)
		}
	})
}

// TestRecheck holds that those who may not see any more are ended, that the others go
// on, also where there was no answer, and that who has left is not asked about.
func TestRecheck(t *testing.T) {
	view, _ := live.New(live.Options{Name: "items"})
	var s authorizing.Subscribers[string]
	subs := map[string]*live.Subscription{}
	for _, who := range []string{"stays", "goes", "unknown", "left"} {
		subs[who] = s.Subscribe(t.Context(), view, authorizing.Right[string]{Access: who}, live.SubscribeOptions{})
	}
	subs["left"].Close()
	gone, unanswered := errors.New("denied"), errors.New("no answer")
	before := s.Round()
	s.NextRound()
	if s.Round() == before {
		t.Error("rights given before the round are not outdated")
	}
	err := s.Recheck(t.Context(), func(_ context.Context, r authorizing.Right[string]) (end, err error) {
		switch r.Access {
		case "goes":
			return gone, nil
		case "unknown":
			return nil, unanswered
		case "left":
			t.Error("somebody who has left was asked about")
		}
		return nil, nil
	})
	if !errors.Is(err, unanswered) || errors.Is(err, gone) {
		t.Errorf("the error is %v", err)
	}
	if _, err := subs["goes"].Poll(); !errors.Is(err, gone) {
		t.Errorf("who may not see any more gets %v", err)
	}
	for _, who := range []string{"stays", "unknown"} {
		if _, err := subs[who].Poll(); err != nil {
			t.Errorf("%q gets %v", who, err)
		}
	}
}
