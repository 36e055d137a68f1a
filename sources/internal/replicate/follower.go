package replicate

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/wire"
)

// Counts counts applied batches, over all bindings of an origin.
type Counts struct {
	// Steps counts the batches that led to a version, Syncs those of them that
	// brought all rows, Mismatches the versions whose token was not the origin's.
	Steps, Syncs, Mismatches atomic.Uint64
}

// Follower applies a binding's batches to a replica. It is the handler of a stream
// (client.Handler, client.StateHandler), and is used by one goroutine.
type Follower[T any] struct {
	to     *core.Replica
	table  driver.Table
	origin string // its name in errors
	counts *Counts

	anew     bool              // it needs all rows again
	stale    bool              // the origin's own rows are stale
	print    *live.Fingerprint // the replica's; nil: not received yet
	numbered bool              // places are numbers
}

// New returns a follower that publishes to the replica. The table's Database is the
// origin's name.
func New[T any](to *core.Replica, table driver.Table, counts *Counts) *Follower[T] {
	return &Follower[T]{to: to, table: table, origin: table.Database, counts: counts, anew: to.Anew()}
}

// Heard notes that the replica has everything that its origin has.
func (f *Follower[T]) Heard() { f.current() }

// Version returns the replica's version, "" if it needs all rows again.
func (f *Follower[T]) Version() string {
	s := f.to.View().Snapshot()
	if s == nil || f.anew {
		return ""
	}
	if f.print == nil { // an earlier call was told
		f.print, f.numbered = s.Fingerprint(), s.OrderMarked()
	}
	return s.Version().Token
}

// Lost notes that the connection to the origin is lost.
func (f *Follower[T]) Lost(err error) {
	f.stale = false // the origin repeats it if it is
	f.to.Stale(fmt.Errorf("replicate: origin %q: %w", f.origin, err))
}

// Step applies a batch. After a [*wire.MalformedError] the caller must ask for all rows
// again. Any other error means that the binding cannot be followed.
func (f *Follower[T]) Step(s *wire.Step) error {
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
		f.counts.Mismatches.Add(1)
		return &wire.MalformedError{Detail: fmt.Sprintf("version %s of binding %q comes out as %s", s.Last().Version, f.to.View().ID(), got)}
	}
	if described != nil {
		f.to.Describe(described.Live(f.table))
	}
	edit.Reported(time.Now())
	// Whoever sees the version finds it counted.
	f.counts.Steps.Add(1)
	if s.Sync {
		f.counts.Syncs.Add(1)
	}
	if !f.to.Publish(edit, at) {
		return errEnded
	}
	f.current()
	f.anew = false
	return nil
}

// State takes the state of the origin's own rows: "live" or "stale".
func (f *Follower[T]) State(state string) {
	f.stale = state != status.Live.String()
	if f.to.View().Snapshot() != nil && !f.anew {
		f.current()
	}
}

// current tells the replica that it is as current as its origin.
func (f *Follower[T]) current() {
	if f.stale {
		f.to.Stale(fmt.Errorf("replicate: origin %q: %w", f.origin, errOriginStale))
		return
	}
	f.to.Current()
}

var errOriginStale = errors.New("its own rows may be out of date")

var errEnded = errors.New("replicate: the binding has ended")

// edit makes the next version from the step. It compares a sync with the replica's
// rows, so that subscribers get only the difference. It begins empty if the origin's
// binding was redefined.
func (f *Follower[T]) edit(s *wire.Step, at time.Time) (*live.Edit, *wire.Description, error) {
	from := f.to.View().Snapshot()
	var described *wire.Description
	if s.Sync {
		if r := s.Messages[0].Replica; r == nil || r.Description == nil {
			return nil, nil, errors.New("replicate: the origin does not tell followers what they need: it is an older one, or no Bindery")
		}
		described = s.Messages[0].Replica.Description
		print, err := live.ParseFingerprint(described.Fingerprint)
		if err != nil {
			return nil, nil, &wire.MalformedError{Detail: err.Error()}
		}
		if f.print = print; from != nil && from.Fingerprint().String() == print.String() {
			f.print = from.Fingerprint() // the held rows belong to the sync's binding
		}
		f.numbered = described.Numbered
	}
	if f.print == nil {
		return nil, nil, &wire.MalformedError{Detail: "changes of what is not known"}
	}
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

// takeOthers removes the rows that are not in the sync. If places are numbers it
// removes all, because a row's new number may be another row's old one.
func (f *Follower[T]) takeOthers(edit *live.Edit, s *wire.Step) {
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

// put applies the message's i-th row to the edit. from has the replica's rows; nil means
// none.
func (f *Follower[T]) put(edit *live.Edit, m *wire.Received, i int, raw json.RawMessage, from *live.Snapshot, at time.Time) error {
	key := m.Replica.Keys[i]
	if m.Action == wire.Delete {
		edit.Take(key)
		return nil
	}
	c := live.Content{Key: key, OrderKey: string(key), Numbered: f.numbered, JSON: raw}
	if m.Replica.OrderKeys != nil {
		c.OrderKey = m.Replica.OrderKeys[i]
	}
	var before live.Row
	if from != nil && from.Fingerprint() == f.print {
		before, _ = from.Get(key)
	}
	if same := !before.IsZero() && string(before.JSON()) == string(raw); same && before.OrderKey() == c.OrderKey {
		if _, held := edit.Get(key); !held { // it was taken out with all others
			edit.Put(before)
		}
		return nil
	} else if same {
		c.Value = before.Value()
	} else {
		row := new(T)
		if err := json.Unmarshal(raw, row); err != nil {
			return fmt.Errorf("replicate: row %s of binding %q is no %T: %w", key, f.to.View().ID(), *row, err)
		}
		c.Value = row
	}
	edit.Put(f.print.Row(c, before, at))
	return nil
}
