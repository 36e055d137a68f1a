package wire

import (
	"github.com/binderyhq/bindery/core/live"
)

// Batch holds the messages of one event, which together lead to one version. All but the
// last say that more follow. A batch is never empty.
type Batch struct {
	token    string
	messages []Message // of a change
	sync     *pages    // of a sync, in place of messages
}

// Token returns the token of the version that the batch leads to.
func (b *Batch) Token() string { return b.token }

// Len returns the number of messages.
func (b *Batch) Len() int {
	if b.sync != nil {
		return len(b.sync.first)
	}
	return len(b.messages)
}

// Message returns the message at the position, from 0. It builds the pages of a sync on
// demand, so a client that reads only some costs no more than those.
func (b *Batch) Message(i int) Message {
	if b.sync != nil {
		return b.sync.message(i)
	}
	return b.messages[i]
}

// size returns the batch's own size in bytes. The pages of a sync belong to the snapshot.
func (b *Batch) size() int {
	n := 0
	for _, m := range b.messages {
		n += cap(m.JSON)
	}
	return n
}

func (b *Batch) all() [][]byte {
	out := make([][]byte, b.Len())
	for i := range out {
		out[i] = b.Message(i).JSON
	}
	return out
}

// pages is the division of a snapshot into messages.
type pages struct {
	snap  *live.Snapshot
	env   *envelope
	first []int // position of each page's first row
	key   pageKey
	desc  *Description // for followers
}

type pageKey struct {
	batchKey
	action Action
	page   int
}

// paginate finds the first row of each page, in one pass over the rows.
func (enc *Encoder) paginate(v *live.View, snap *live.Snapshot) *pages {
	p := &pages{
		snap: snap, env: newEnvelope(enc.framing, v, snap.Version()), first: []int{0},
		key: pageKey{batchKey: enc.batchKey},
	}
	if enc.replica {
		p.desc = DescribeView(v, snap)
	}
	room := p.env.room(enc.limits.Bytes)
	at, rows, size := 0, 0, 0
	for r := range snap.Rows() {
		n := len(r.JSON()) + 1
		if enc.replica {
			n += replicaSize(r)
		}
		if rows == enc.limits.Rows || rows > 0 && size+n > room {
			p.first = append(p.first, at)
			rows, size = 0, 0
		}
		at++
		rows++
		size += n
	}
	return p
}

// message returns the page at the position, from 0, as part of a sync.
func (p *pages) message(i int) Message { return p.memo(Sync, i, i < len(p.first)-1) }

// lookAt returns the page with the number, from 1, as a message of its own.
func (p *pages) lookAt(page int) Message {
	if page > len(p.first) { // do not cache these: there are arbitrarily many
		return Message{Page, p.env.close(append(p.env.open(Page, 2), "[]"...), page, len(p.first), false, nil)}
	}
	return p.memo(Page, page-1, false)
}

func (p *pages) memo(action Action, i int, more bool) Message {
	key := p.key
	key.action, key.page = action, i
	return live.Memo(p.snap.Cache(), key, func(c *live.Charge) Message {
		end := p.snap.Len()
		if i+1 < len(p.first) {
			end = p.first[i+1]
		}
		size := 2
		var of []live.Row // for followers
		for r := range p.snap.Page(p.first[i], end-p.first[i]) {
			size += len(r.JSON()) + 1
			if p.desc != nil {
				of = append(of, r)
			}
		}
		msg := append(p.env.open(action, size), '[')
		n := 0
		for r := range p.snap.Page(p.first[i], end-p.first[i]) {
			if n > 0 {
				msg = append(msg, ',')
			}
			msg = append(msg, oneLine(r.JSON())...)
			n++
		}
		var extra []byte
		if p.desc != nil {
			desc := p.desc
			if i > 0 {
				desc = nil
			}
			extra = appendReplica(nil, of, false, desc)
		}
		msg = p.env.close(append(msg, ']'), i+1, len(p.first), more, extra)
		c.Add(cap(msg))
		return Message{action, msg}
	})
}
