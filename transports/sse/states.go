package sse

import (
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/wire"
)

// statesEvery is how often a follower's bindings are checked for staleness. Followers
// are few.
const statesEvery = 500 * time.Millisecond

// watchStates returns a channel that ticks when states must be checked. It never ticks
// for ordinary clients, who are not told the states.
func (s *stream) watchStates() (tick <-chan time.Time, stop func()) {
	if s.enc != s.t.replicas {
		return nil, func() {}
	}
	ticker := time.NewTicker(statesEvery)
	return ticker.C, ticker.Stop
}

// tellStates tells a follower which bindings have become stale or current.
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
		if state == status.Restored { // the rows come from an earlier run of the program
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

// lineages names the runs of versions that the stream's bindings show, see
// [core.Grant.Lineage].
func (s *stream) lineages() string {
	all := make([]string, len(s.feeds))
	for i, f := range s.feeds {
		all[i] = f.grant.Lineage()
	}
	return strings.Join(all, "+")
}
