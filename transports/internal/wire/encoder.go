package wire

import (
	"bytes"

	"github.com/binderyhq/bindery/core"
)

// Encoder makes messages within limits. Encoders of equal limits and framing
// share what they make.
type Encoder struct {
	limits  Limits
	framing Framing
	key     any // of batches in memos; boxed once, since it is asked for at every delivery
}

type batchKey struct {
	limits  Limits
	framing Framing
}

// NewEncoder returns an encoder with these limits.
func NewEncoder(limits Limits) *Encoder { return NewFramedEncoder(limits, Framing{}) }

// NewFramedEncoder returns an encoder whose messages stand in a frame. The limits
// are those of the messages with their frames.
func NewFramedEncoder(limits Limits, framing Framing) *Encoder {
	limits = limits.WithDefaults()
	return &Encoder{limits: limits, framing: framing, key: batchKey{limits, framing}}
}

// Batch returns the messages that tell a client of the event.
func (enc *Encoder) Batch(v *core.View, e *core.Event) *Batch {
	return e.Memo(enc.key, func() any { return enc.build(v, e) }).(*Batch)
}

// Messages returns all messages of the event's batch, in order.
func Messages(v *core.View, e *core.Event, limits Limits) [][]byte {
	return NewEncoder(limits).Batch(v, e).all()
}

// Since returns the messages that lead from the version with the token to the
// binding's current one: one that says that it is current, the changes since,
// or a sync. It returns [core.ErrNotLoaded], [core.ErrRemoved] or
// [core.ErrClosed].
func (enc *Encoder) Since(v *core.View, token string) ([][]byte, error) {
	sub := v.Subscribe(core.SubscribeOptions{Version: ParseToken(token), Notify: func() {}})
	defer sub.Close()
	e, err := sub.Poll()
	switch {
	case err != nil:
		return nil, err
	case e == nil:
		return nil, core.ErrNotLoaded
	}
	return enc.Batch(v, e).all(), nil
}

// Page returns one page of the binding's current version, counted from 1, as a
// message of its own. Beyond the last page there are no rows. It returns
// [core.ErrNotLoaded].
func (enc *Encoder) Page(v *core.View, page int) (Message, error) {
	snap := v.Snapshot()
	if snap == nil {
		return Message{}, core.ErrNotLoaded
	}
	return enc.PageOf(v, snap, page), nil
}

// PageOf is Page of a snapshot of the binding's.
func (enc *Encoder) PageOf(v *core.View, snap *core.Snapshot, page int) Message {
	p := snap.Memo(enc.key, func() any { return enc.paginate(v, snap) }).(*pages)
	return p.lookAt(page)
}

func (enc *Encoder) build(v *core.View, e *core.Event) *Batch {
	if e.Kind == core.Synced {
		snap := e.Snapshot
		p := snap.Memo(enc.key, func() any { return enc.paginate(v, snap) }).(*pages)
		return &Batch{token: e.Version.Token, sync: p}
	}
	env := newEnvelope(enc.framing, v, e.Version)
	b := &Batch{token: e.Version.Token}
	if e.Kind == core.Confirmed || e.Len() == 0 {
		b.messages = []Message{{Sync, env.close(append(env.open(Sync, 4), `"ok"`...), 0, 0, false)}}
		return b
	}
	var parts []part
	add := func(action Action, rows []core.Row, show func(core.Row) []byte) {
		var p part
		for _, r := range rows {
			row := oneLine(show(r))
			if len(p.rows) == 0 || len(p.rows) == enc.limits.Rows || p.size+len(row)+1 > env.room(enc.limits.Bytes) {
				if len(p.rows) > 0 {
					parts = append(parts, p)
				}
				p = part{action: action}
			}
			p.rows = append(p.rows, row)
			p.size += len(row) + 1
		}
		if len(p.rows) > 0 {
			parts = append(parts, p)
		}
	}
	add(Create, e.Created, core.Row.JSON)
	add(Update, e.Updated, core.Row.JSON)
	add(Delete, e.Deleted, v.KeyJSON)
	for i, p := range parts {
		msg := append(env.open(p.action, p.size+2), '[')
		msg = append(append(msg, bytes.Join(p.rows, []byte{','})...), ']')
		b.messages = append(b.messages, Message{p.action, env.close(msg, 0, 0, i < len(parts)-1)})
	}
	return b
}

// part is what one message of a change carries.
type part struct {
	action Action
	rows   [][]byte
	size   int
}

// oneLine returns the JSON without line breaks, which would end a line of an
// event stream. In valid JSON they stand between tokens only, where a blank
// does as well. The usual row has none and is returned as it is.
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
