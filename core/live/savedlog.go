package live

import (
	"fmt"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/internal/digest"
)

// SavedLog is the end of a binding's log in a form that can be stored, see [Saved]. Clients
// at one of its versions can then resume by events after a restart too.
type SavedLog struct {
	// From is the token of the version before the first event.
	From string
	// Events lead from there to the saved version, one after the other.
	Events []SavedEvent
}

// SavedEvent is one event of [SavedLog]. In its rows, OrderKey is always set.
type SavedEvent struct {
	// Token and Modified are those of the version that the event leads to.
	Token    string
	Modified time.Time
	// Created, Updated and Deleted are as in [Event].
	Created, Updated, Deleted []SavedRow
	// Before has a digest for each updated row, as it was before the event.
	Before [][digestBytes]byte
}

// SavedLog returns what the log has of the way to the version. model returns the JSON from
// which a row's Go value can be rebuilt, nil when that is the row's own; a nil function
// stands for that, too. The result shares the rows' bytes with the view.
func (v *View) SavedLog(version string, model func(Row) []byte) SavedLog {
	v.mu.Lock()
	var events []*Event
	if pos, ok := v.log.find(version); ok {
		events = slices.Clone(v.log.events[:pos-v.log.first])
	}
	v.mu.Unlock()
	if len(events) == 0 {
		return SavedLog{}
	}
	out := SavedLog{From: events[0].From, Events: make([]SavedEvent, len(events))}
	saved := func(rows []Row) (out []SavedRow) {
		for _, r := range rows {
			row := SavedRow{Key: r.e.key, OrderKey: r.e.orderKey, JSON: r.e.json}
			if model != nil {
				row.Model = model(r)
			}
			out = append(out, row)
		}
		return out
	}
	for i, e := range events {
		to := &out.Events[i]
		to.Token, to.Modified = e.Version.Token, e.Version.Modified
		to.Created, to.Updated, to.Deleted = saved(e.Created), saved(e.Updated), saved(e.Deleted)
		for _, sum := range e.before {
			to.Before = append(to.Before, sum.Bytes())
		}
	}
	return out
}

// restoredLog makes the events that lead to the snapshot, which has been restored from s,
// and gives it the sequence number after theirs. It calculates the token of each version
// back from that of the snapshot, so that no event can lead elsewhere than it says. Where
// the order counts beside the rows that is not possible.
func restoredLog(next *Snapshot, s Saved, value func([]byte) any, now time.Time) ([]*Event, error) {
	sum, token := next.sum, next.version.Token
	events := make([]*Event, len(s.Log.Events))
	for i := len(events) - 1; i >= 0; i-- {
		saved := &s.Log.Events[i]
		if saved.Token != token {
			return nil, fmt.Errorf("%w: event %d leads to version %s, and the next one starts at %s", ErrDamaged, i, saved.Token, token)
		}
		if len(saved.Before) != len(saved.Updated) {
			return nil, fmt.Errorf("%w: event %d has %d digests for %d rows", ErrDamaged, i, len(saved.Before), len(saved.Updated))
		}
		if token = s.Log.From; i > 0 {
			token = s.Log.Events[i-1].Token
		}
		e := &Event{Kind: Changed, From: token}
		e.Version = Version{Token: saved.Token, Seq: uint64(i) + 2, Modified: saved.Modified}
		stamp := digest.Restored(saved.Modified, now)
		rows := func(from []SavedRow) (out []Row) {
			for i := range from {
				out = append(out, restoredRow(next.print, &from[i], s, stamp, value))
			}
			return out
		}
		e.Created, e.Updated, e.Deleted = rows(saved.Created), rows(saved.Updated), rows(saved.Deleted)
		for _, b := range saved.Before {
			e.before = append(e.before, digest.From(b))
		}
		sum = before(sum, e)
		if !s.Numbered && sum.Token() != token {
			return nil, fmt.Errorf("%w: event %d starts at version %s, and not at %s", ErrDamaged, i, sum.Token(), token)
		}
		if e.Len() == 0 {
			e.Kind = Confirmed
		}
		e.measure()
		events[i] = e
	}
	next.version.Seq = uint64(len(events)) + 1
	return events, nil
}

// before returns the sum of all rows before the event.
func before(sum digest.Sum, e *Event) digest.Sum {
	for _, rows := range [][]Row{e.Created, e.Updated} {
		for _, r := range rows {
			sum = sum.Sub(r.e.sum(r.print))
		}
	}
	for _, was := range e.before {
		sum = sum.Add(was)
	}
	for _, r := range e.Deleted {
		sum = sum.Add(r.e.sum(r.print))
	}
	return sum
}

func restoredRow(print *Fingerprint, from *SavedRow, s Saved, stamp *digest.Stamp, value func([]byte) any) Row {
	e := &entry{key: from.Key, orderKey: from.OrderKey, json: from.JSON, stamp: stamp, numbered: s.Numbered, restored: true}
	if s.Values {
		d := &deferred{make: value, model: from.Model}
		if d.model == nil {
			d.model = from.JSON
		}
		e.value = d
	}
	return Row{e, print}
}
