package followsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/binderyhq/bindery/client"
	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/wire"
)

// Replicate implements [core.Replicator].
func (l *loader[T]) Replicate(ctx context.Context, to *core.Replica) error {
	params := make(url.Values)
	for _, p := range to.View().Params() {
		params.Add(p.Name, p.Value.String())
	}
	stream, err := client.NewStream(l.origin.events, l.binding, l.origin.cfg.client(params))
	if err != nil {
		return err
	}
	f := &follower[T]{origin: l.origin, table: l.table(), to: to, anew: to.Anew(), stream: stream}
	defer f.count()
	err = stream.Run(ctx, f)
	var refused *wire.Problem
	if errors.As(err, &refused) {
		err = f.refusal(refused)
	}
	return err
}

// follower applies what a stream brings to a replica.
type follower[T any] struct {
	origin  *Origin
	table   driver.Table
	to      *core.Replica
	stream  *client.Stream
	counted client.Counts

	anew     bool              // all rows are wanted
	stale    bool              // the origin says that its own rows may be old
	print    *live.Fingerprint // of what the replica holds; nil: nothing was told yet
	numbered bool              // places are numbers
}

func (f *follower[T]) count() { f.origin.count(&f.counted, f.stream.Counts()) }

// Version implements [client.Handler].
func (f *follower[T]) Version() string {
	s := f.to.View().Snapshot()
	if s == nil || f.anew {
		return ""
	}
	if f.print == nil { // an earlier call was told
		f.print, f.numbered = s.Fingerprint(), s.OrderMarked()
	}
	return s.Version().Token
}

// Lost implements [client.Handler].
func (f *follower[T]) Lost(err error) {
	f.count()
	f.stale = false // it says so again if it is
	f.to.Stale(fmt.Errorf("followsource: origin %q: %w", f.origin.name(), err))
}

// Step implements [client.Handler].
func (f *follower[T]) Step(s *wire.Step) error {
	f.count()
	if s.Confirmed {
		f.current()
		return nil
	}
	at := s.Last().Modified
	if at.IsZero() {
		at = time.Now()
	}
	edit, described, err := f.edit(s, at)
	if err != nil {
		return err
	}
	if got := edit.Token(); got != s.Last().Version {
		f.origin.mismatches.Add(1)
		return &wire.MalformedError{Detail: fmt.Sprintf("version %s of binding %q comes out as %s", s.Last().Version, f.to.View().ID(), got)}
	}
	if described != nil {
		f.to.Describe(described.Live(f.table))
	}
	edit.Reported(time.Now())
	if !f.to.Publish(edit, at) {
		return errEnded
	}
	f.current()
	f.anew = false
	f.origin.steps.Add(1)
	if s.Sync {
		f.origin.syncs.Add(1)
	}
	return nil
}

// State implements [client.StateHandler].
func (f *follower[T]) State(state string) {
	f.stale = state != status.Live.String()
	if f.to.View().Snapshot() != nil && !f.anew {
		f.current()
	}
}

// current says that the replica is as current as its origin.
func (f *follower[T]) current() {
	if f.stale {
		f.to.Stale(fmt.Errorf("followsource: origin %q: %w", f.origin.name(), errOriginStale))
		return
	}
	f.to.Current()
}

var errOriginStale = errors.New("its own rows may be out of date")

var errEnded = errors.New("followsource: the binding has ended")

// edit makes the version that the step leads to. A sync is compared with what the
// replica holds, so that its own subscribers are sent the difference; it begins with
// nothing where the origin's binding has become another.
func (f *follower[T]) edit(s *wire.Step, at time.Time) (*live.Edit, *wire.Description, error) {
	var described *wire.Description
	if s.Sync {
		if r := s.Messages[0].Replica; r == nil || r.Description == nil {
			return nil, nil, errors.New("followsource: the origin does not tell followers what they need: it is an older one, or no Bindery")
		}
		described = s.Messages[0].Replica.Description
		print, err := live.ParseFingerprint(described.Fingerprint)
		if err != nil {
			return nil, nil, &wire.MalformedError{Detail: err.Error()}
		}
		if f.print == nil || f.print.String() != print.String() {
			f.print = print
		}
		f.numbered = described.Numbered
	}
	if f.print == nil {
		return nil, nil, &wire.MalformedError{Detail: "changes of what is not known"}
	}
	from := f.to.View().Snapshot()
	another := from != nil && from.Fingerprint() != f.print
	edit := f.to.Edit(f.print, another)
	if s.Sync {
		f.takeOthers(edit, s)
	}
	for _, m := range s.Messages {
		if m.Replica == nil {
			return nil, nil, &wire.MalformedError{Detail: "a message without keys"}
		}
		for i, raw := range m.Rows {
			if err := f.put(edit, &m, i, raw, from, at); err != nil {
				return nil, nil, err
			}
		}
	}
	if f.numbered {
		edit.MarkOrder()
	}
	return edit, described, nil
}

// takeOthers takes the rows out that are not in the sync. Where places are numbers it
// takes all: one row's new number may be another's old one.
func (f *follower[T]) takeOthers(edit *live.Edit, s *wire.Step) {
	keep := make(map[driver.Key]struct{})
	for _, m := range s.Messages {
		if m.Replica != nil && !f.numbered {
			for _, key := range m.Replica.Keys {
				keep[key] = struct{}{}
			}
		}
	}
	var gone []driver.Key
	edit.Each(func(r live.Row) bool {
		if _, ok := keep[r.Key()]; !ok {
			gone = append(gone, r.Key())
		}
		return true
	})
	for _, key := range gone {
		edit.Take(key)
	}
}

// put does to the edit what the message says of its i-th row. from is what the
// replica holds, nil for nothing.
func (f *follower[T]) put(edit *live.Edit, m *wire.Received, i int, raw json.RawMessage, from *live.Snapshot, at time.Time) error {
	key := m.Replica.Keys[i]
	if m.Action == wire.Delete {
		edit.Take(key)
		return nil
	}
	c := live.Content{Key: key, Place: string(key), Numbered: f.numbered, JSON: raw}
	if m.Replica.Places != nil {
		c.Place = m.Replica.Places[i]
	}
	var before live.Row
	if from != nil && from.Fingerprint() == f.print {
		before, _ = from.Get(key)
	}
	if same := !before.IsZero() && string(before.JSON()) == string(raw); same && before.Place() == c.Place {
		if _, held := edit.Get(key); !held { // it was taken out with all others
			edit.Put(before)
		}
		return nil
	} else if same {
		c.Value = before.Value()
	} else {
		row := new(T)
		if err := json.Unmarshal(raw, row); err != nil {
			return fmt.Errorf("followsource: row %s of binding %q is no %T: %w", key, f.to.View().ID(), *row, err)
		}
		c.Value = row
	}
	edit.Put(f.print.Row(c, before, at))
	return nil
}

// refusal says what an origin's refusal means for who has asked for the binding.
func (f *follower[T]) refusal(p *wire.Problem) error {
	v := f.to.View()
	switch p.Status {
	case http.StatusBadRequest:
		if len(p.Errors) > 0 {
			return &core.ArgumentError{Binding: v.Name(), Param: p.Errors[0].Field, Detail: p.Errors[0].Detail}
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		if v.Params() != nil {
			return fmt.Errorf("followsource: origin %q: %w: %w", f.origin.name(), p,
				&core.DeniedError{Access: core.Access{Binding: v.Name(), Params: v.Params(), Action: core.ActionRead}})
		}
	}
	return fmt.Errorf("followsource: origin %q: %w", f.origin.name(), p)
}
