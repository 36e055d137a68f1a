package sse

import (
	"time"

	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/wire"
)

// statesEvery is how often it is looked whether a binding that a follower has is
// stale. Followers are few.
const statesEvery = 500 * time.Millisecond

// watchStates returns a channel that ticks when states are to be looked at, which
// followers alone are told of.
func (s *stream) watchStates() (tick <-chan time.Time, stop func()) {
	if s.enc != s.t.replicas {
		return nil, func() {}
	}
	ticker := time.NewTicker(statesEvery)
	return ticker.C, ticker.Stop
}

// tellStates tells a follower of each binding whose rows may be out of date now, or
// not any more: what is told of them next is to be taken so.
func (s *stream) tellStates() error {
	if s.enc != s.t.replicas {
		return nil
	}
	told := false
	for _, f := range s.feeds {
		if f.sub == nil {
			continue
		}
		state := s.t.reg.StatusOf(f.grant.View()).State
		if state == status.Restored { // rows of an earlier run
			state = status.Stale
		}
		if state == f.state || state != status.Live && state != status.Stale {
			continue
		}
		f.state, told = state, true
		if err := s.send(wire.StateMessage(wire.SubjectOf(f.grant.View()), state.String()), ""); err != nil {
			return err
		}
	}
	if !told {
		return nil
	}
	return s.flush()
}
