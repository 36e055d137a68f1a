package core

import (
	"context"
	"time"

	"github.com/binderyhq/bindery/core/internal/budget"
	"github.com/binderyhq/bindery/core/internal/engine"
	"github.com/binderyhq/bindery/core/internal/feed"
	"github.com/binderyhq/bindery/core/internal/signal"
	"github.com/binderyhq/bindery/core/internal/upkeep"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// shared is the state that all bindings of one registry share.
type shared struct {
	cfg       Config // with all defaults
	eng       *engine.Engine
	host      *upkeep.Host
	observers observers
	budget    *budget.Budget
	parties   parties
	came      signal.Notice // notifies of added and removed bindings and members
	requests  budget.Party  // memory for clients' input
}

func newShared(cfg Config) *shared {
	s := &shared{cfg: cfg, observers: observers{log: cfg.Logger}, budget: newBudget(cfg)}
	backlog := s.budget.Join(nobody{})
	s.eng = engine.New(engine.Host{
		Limits: feed.Limits{
			ReadTimeout: cfg.ReadTimeout, AnnounceWait: cfg.AnnounceWait,
			CatchUpWait: cfg.CatchUpWait, MaxBatchKeys: cfg.MaxBatchKeys,
		},
		Logger: cfg.Logger, Now: cfg.Now,
		Kept:      func(bytes int) { backlog.Add(int(live.Backlog), bytes, true) },
		Published: s.observers.onPublished, BatchBegins: s.observers.onBatch, Reported: s.observers.onReported,
	})
	s.host = &upkeep.Host{Engine: s.eng, Logger: cfg.Logger, Now: cfg.Now, Published: s.observers.onPublished}
	return s
}

// attach makes the declared bindings part of the registry. load then loads them.
func (s *shared) attach(declared []*binding) {
	s.host.Attach(upkeepOf(declared))
	for _, v := range declared {
		if !v.Spec.Family {
			v.joinBudget(s, 0)
		}
		v.family.begin(s)
	}
}

// load starts reading the bindings.
func (s *shared) load(declared []*binding) {
	for _, v := range declared {
		if !v.Spec.Family {
			v.rows.Begin()
		}
	}
	s.eng.Start()
}

// memoryStatus returns the memory that the registry's bindings use.
func (s *shared) memoryStatus() status.Memory {
	c := s.budget.Counts()
	st := status.Memory{
		Limit: s.budget.Limit(), Total: s.budget.Total(), Bytes: make(map[string]int64, live.Kinds),
		Dropped: c.Dropped, Evicted: c.Evicted, Refused: c.Refused,
	}
	for k := range live.Kinds {
		st.Bytes[k.String()] = s.budget.Used(int(k))
	}
	return st
}

// sweep drops bodies that nobody has used lately, until ctx is done.
func (s *shared) sweep(ctx context.Context) {
	ticker := time.NewTicker(bodiesSweep)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.budget.Sweep(bodiesIdle)
		case <-ctx.Done():
			s.budget.Close()
			return
		}
	}
}

// nobody owns the memory of the feeds' backlog, which cannot be dropped.
type nobody struct{}

func (nobody) DropBodies() {}
func (nobody) Evict() bool { return false }
