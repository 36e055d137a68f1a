package wire

import (
	"bytes"

	"github.com/binderyhq/bindery/core/live"
)

// Encoder builds messages within limits. Encoders with equal limits and framing share the
// messages.
type Encoder struct {
	batchKey
	key any // memo key of batches; boxed once, since every delivery uses it
}

type batchKey struct {
	limits  Limits
	framing Framing
	replica bool // for followers: with the data of [Replica]
}

// NewEncoder returns an encoder with these limits.
func NewEncoder(limits Limits) *Encoder { return NewFramedEncoder(limits, Framing{}) }

// NewFramedEncoder returns an encoder that puts messages into a frame. The limits include
// the frame.
func NewFramedEncoder(limits Limits, framing Framing) *Encoder {
	return newEncoder(batchKey{limits: limits.WithDefaults(), framing: framing})
}

// NewReplicaEncoder returns an encoder of messages for followers, with the data of
// [Replica]. Pass each event through [Encoder.ForReplica] first: a binding with numbered
// order keys is sent only as syncs.
func NewReplicaEncoder(limits Limits) *Encoder {
	return newEncoder(batchKey{limits: limits.WithDefaults(), replica: true})
}

func newEncoder(key batchKey) *Encoder { return &Encoder{batchKey: key, key: key} }

// ForReplica returns the event to send to a follower in place of e. It differs when order
// keys are numbers: any change may then renumber all rows, so the follower gets a sync of
// the binding's current rows, or a confirmation if it has them already. told is the last
// version sent to it.
func (enc *Encoder) ForReplica(v *live.View, e *live.Event, told string) *live.Event {
	snap := v.Snapshot()
	if !enc.replica || e.Kind != live.Changed || snap == nil || !snap.OrderMarked() {
		return e
	}
	if snap.Version().Token == told {
		return &live.Event{Kind: live.Confirmed, From: told, Version: snap.Version()}
	}
	return snap.SyncEvent()
}

// Batch returns the messages for the event.
func (enc *Encoder) Batch(v *live.View, e *live.Event) *Batch {
	return live.Memo(e.Cache(), enc.key, func(c *live.Charge) *Batch {
		b := enc.build(v, e)
		c.Add(b.size())
		return b
	})
}

// Messages returns all messages of the event's batch, in order.
func Messages(v *live.View, e *live.Event, limits Limits) [][]byte {
	return NewEncoder(limits).Batch(v, e).all()
}

// Since returns the messages that lead from the version with the token to the binding's
// current one: a confirmation, the changes since, or a sync. It returns
// [live.ErrNotLoaded], [live.ErrRemoved] or [live.ErrClosed].
func (enc *Encoder) Since(v *live.View, token string) ([][]byte, error) {
	sub := v.Subscribe(live.SubscribeOptions{Version: ParseToken(token), Notify: func() {}})
	defer sub.Close()
	e, err := sub.Poll()
	switch {
	case err != nil:
		return nil, err
	case e == nil:
		return nil, live.ErrNotLoaded
	}
	return enc.Batch(v, e).all(), nil
}

// Page returns one page of the binding's current version, counted from 1, as a message of
// its own. A page beyond the last has no rows. It returns [live.ErrNotLoaded].
func (enc *Encoder) Page(v *live.View, page int) (Message, error) {
	snap := v.Snapshot()
	if snap == nil {
		return Message{}, live.ErrNotLoaded
	}
	return enc.PageOf(v, snap, page), nil
}

// PageOf is [Encoder.Page] for a given snapshot of the binding.
func (enc *Encoder) PageOf(v *live.View, snap *live.Snapshot, page int) Message {
	return enc.pages(v, snap).lookAt(page)
}

// pages returns the division of the snapshot.
func (enc *Encoder) pages(v *live.View, snap *live.Snapshot) *pages {
	return live.Memo(snap.Cache(), enc.key, func(c *live.Charge) *pages {
		p := enc.paginate(v, snap)
		c.Add(8 * cap(p.first))
		return p
	})
}

func (enc *Encoder) build(v *live.View, e *live.Event) *Batch {
	if e.Kind == live.Synced {
		return &Batch{token: e.Version.Token, sync: enc.pages(v, e.Snapshot)}
	}
	env := newEnvelope(enc.framing, v, e.Version)
	b := &Batch{token: e.Version.Token}
	if e.Kind == live.Confirmed || e.Len() == 0 {
		b.messages = []Message{{Sync, env.close(append(env.open(Sync, 4), `"ok"`...), 0, 0, false, nil)}}
		return b
	}
	var parts []part
	add := func(action Action, rows []live.Row, show func(live.Row) []byte) {
		var p part
		for _, r := range rows {
			row := oneLine(show(r))
			n := len(row) + 1
			if enc.replica {
				n += replicaSize(r)
			}
			if len(p.rows) == 0 || len(p.rows) == enc.limits.Rows || p.size+n > env.room(enc.limits.Bytes) {
				if len(p.rows) > 0 {
					parts = append(parts, p)
				}
				p = part{action: action}
			}
			p.rows = append(p.rows, row)
			p.size += n
			if enc.replica {
				p.of = append(p.of, r)
			}
		}
		if len(p.rows) > 0 {
			parts = append(parts, p)
		}
	}
	add(Create, e.Created, live.Row.JSON)
	add(Update, e.Updated, live.Row.JSON)
	add(Delete, e.Deleted, v.KeyJSON)
	for i, p := range parts {
		msg := append(env.open(p.action, p.size+2), '[')
		msg = append(append(msg, bytes.Join(p.rows, []byte{','})...), ']')
		var extra []byte
		if enc.replica {
			extra = appendReplica(nil, p.of, p.action == Delete, nil)
		}
		b.messages = append(b.messages, Message{p.action, env.close(msg, 0, 0, i < len(parts)-1, extra)})
	}
	return b
}

// part is the content of one message of a change.
type part struct {
	action Action
	rows   [][]byte
	of     []live.Row // the rows themselves, for followers
	size   int
}

// oneLine returns the JSON without line breaks, which would end a line of an event stream.
// Valid JSON has them only between tokens, where a blank is equivalent. The usual row has
// none and is returned as it is.
func oneLine(row []byte) []byte {
	if bytes.IndexByte(row, '\n') < 0 && bytes.IndexByte(row, '\r') < 0 {
		return row
	}
	return bytes.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return ' '
		}
		return r
	}, row)
}
