package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/wire"
)

// publisher publishes one binding, on one goroutine.
type publisher struct {
	t        *Transport
	id       string
	binding  string
	args     core.Args
	subjects wire.Subjects
	log      *slog.Logger

	seq      uint64        // of the last message on the subject
	token    string        // of the last version in the stream; "" for none
	lineage  string        // of the versions that it publishes
	reached  chan question // marks that the binding has reached
	asked    []question    // those that are answered when everything is published
	snapshot uint64        // sequence number at which the last snapshot begins
	size     int           // of the last snapshot, in bytes
	since    int           // bytes of changes after it
}

// maxBackoff bounds the waits after failures.
const maxBackoff = 10 * time.Second

// run publishes until ctx is done.
func (p *publisher) run(ctx context.Context) {
	wait, said := 100*time.Millisecond, ""
	for ctx.Err() == nil {
		begun := time.Now()
		err := p.publish(ctx)
		if ctx.Err() != nil {
			return
		}
		p.t.failures.Add(1)
		if err != nil && err.Error() != said {
			said = err.Error()
			p.log.Warn("nats: the binding is not published for now", slog.String("id", "nats-unpublished"), slog.Any("error", err))
		}
		if time.Since(begun) > time.Second {
			wait = 100 * time.Millisecond
		}
		if !pause(ctx, wait/2+rand.N(wait)) {
			return
		}
		wait = min(2*wait, maxBackoff)
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// publish waits until nobody else publishes the binding. Then it publishes it until
// something fails.
func (p *publisher) publish(ctx context.Context) error {
	grant, err := p.t.reg.Open(ctx, p.binding, p.args)
	if err != nil {
		return err
	}
	defer grant.Close()
	if !p.t.cfg.HiddenOrder && !wire.ShowsOrderKeys(grant.View()) {
		return errors.New("the rows do not show by what they are ordered: see Config.HiddenOrder")
	}
	if err := p.standBy(ctx); err != nil {
		return err
	}
	if err := p.begin(ctx); err != nil {
		return err
	}
	p.t.publishing.Add(1)
	defer p.t.publishing.Add(-1)
	questions := make(chan *natsgo.Msg, maxAsked)
	asking, err := p.t.conn.ChanSubscribe(p.subjects.Mark, questions)
	if err != nil {
		return err
	}
	p.lineage, p.reached, p.asked = grant.Lineage(), make(chan question), nil
	answering, stop := context.WithCancel(ctx)
	var answers sync.WaitGroup
	answers.Go(func() { p.answerMarks(answering, grant, questions) })
	defer func() {
		_ = asking.Unsubscribe()
		stop()
		answers.Wait()
	}()
	for {
		again, err := p.follow(ctx, grant)
		if err != nil || !again {
			return err
		}
	}
}

// standBy waits until no other publisher has sent a beat for three intervals.
func (p *publisher) standBy(ctx context.Context) error {
	sub, err := p.t.conn.SubscribeSync(p.subjects.Beat)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	for {
		quiet, cancel := context.WithTimeout(ctx, 3*p.t.cfg.Beat)
		msg, err := sub.NextMsgWithContext(quiet)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, context.DeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
		var b wire.Beat
		if json.Unmarshal(msg.Data, &b) == nil && b.By == p.t.id {
			return nil
		}
	}
}

// begin creates or updates the stream, and reads the last version in it.
func (p *publisher) begin(ctx context.Context) error {
	cfg := p.t.cfg
	ctx, cancel := context.WithTimeout(ctx, cfg.AckTimeout)
	defer cancel()
	stream, err := p.t.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: cfg.Stream, Subjects: []string{cfg.Prefix + ".*.log", cfg.Prefix + ".*.at"}, Storage: cfg.Storage, Replicas: cfg.Replicas, AllowRollup: true, AllowDirect: true,
	})
	if err != nil {
		return fmt.Errorf("the stream %q: %w", cfg.Stream, err)
	}
	p.seq, p.token, p.snapshot, p.size, p.since = 0, "", 0, 0, 0
	last, err := stream.GetLastMsgForSubject(ctx, p.subjects.Log)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil
	case err != nil:
		return err
	}
	p.seq = last.Sequence
	if m, err := wire.Decode(last.Data); err == nil && !m.More {
		p.token = m.Version // a batch that was cut leads to no version
	}
	var at wire.SnapshotAt
	if msg, err := stream.GetLastMsgForSubject(ctx, p.subjects.At); err == nil && json.Unmarshal(msg.Data, &at) == nil {
		p.snapshot, p.size = at.Seq, at.Bytes
	} else {
		p.token = "" // begin with a snapshot
	}
	return nil
}

// follow publishes the changes since the last version in the stream. again is true
// after a new snapshot: publishing then goes on from there.
func (p *publisher) follow(ctx context.Context, grant *core.Grant) (again bool, err error) {
	wake := make(chan struct{}, 1)
	sub := grant.Subscribe(ctx, live.SubscribeOptions{Version: p.token, Notify: func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}})
	defer sub.Close()
	yield := make(chan struct{}, 1)
	heard, err := p.t.conn.Subscribe(p.subjects.Beat, func(m *natsgo.Msg) {
		if p.precedes(m) {
			select {
			case yield <- struct{}{}:
			default:
			}
		}
	})
	if err != nil {
		return false, err
	}
	defer func() { _ = heard.Unsubscribe() }()
	beats := time.NewTicker(p.t.cfg.Beat)
	defer beats.Stop()
	p.beat(grant.View())
	for {
		if again, err := p.sendAvailable(ctx, grant, sub); again || err != nil {
			return again, err
		}
		p.answerReached()
		select {
		case <-wake:
		case q := <-p.reached:
			p.asked = append(p.asked, q)
		case <-beats.C:
			p.beat(grant.View())
		case <-yield:
			return false, errAnother
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// errAnother says that another node publishes the binding too.
var errAnother = errors.New("another node publishes it too: this one stands by")

// precedes reports whether the beat is of another publisher that goes on while this one
// stands by. Each may have taken the other for gone; while nothing changes, the server does
// not tell them.
func (p *publisher) precedes(beat *natsgo.Msg) bool {
	var b wire.Beat
	return json.Unmarshal(beat.Data, &b) == nil && b.By != "" && b.By < p.t.id
}

// sendAvailable publishes what there is. again is true after a new snapshot, from which the
// next events lead on.
func (p *publisher) sendAvailable(ctx context.Context, grant *core.Grant, sub *live.Subscription) (again bool, err error) {
	view := grant.View()
	for {
		e, err := sub.Poll()
		if e == nil || err != nil {
			return false, err
		}
		if grant.Lineage() != p.lineage {
			return false, errRewound
		}
		if err := p.send(ctx, view, p.t.enc.ForReplica(view, e, p.token)); err != nil {
			return false, err
		}
		p.beat(view)
		if p.since > max(p.size, p.t.cfg.MinSnapshot) && p.token != "" {
			snap, err := grant.Snapshot()
			if err != nil || snap == nil {
				return false, err
			}
			return true, p.send(ctx, view, snap.SyncEvent())
		}
	}
}

// errRewound says that the binding's own origin is another node than before.
var errRewound = errors.New("the binding follows another node now, whose rows may be older")

// beat says who publishes, and the last version that was published. A lost beat does no
// harm.
func (p *publisher) beat(view *live.View) {
	state := status.Stale
	if p.t.reg.StatusOf(view).State == status.Live {
		state = status.Live
	}
	if raw, err := json.Marshal(wire.Beat{By: p.t.id, Lineage: p.lineage, Seq: p.seq, Version: p.token, State: state.String()}); err == nil {
		_ = p.t.conn.Publish(p.subjects.Beat, raw)
	}
}

// send publishes the messages of one event.
func (p *publisher) send(ctx context.Context, view *live.View, e *live.Event) error {
	if e.Kind == live.Confirmed && e.Version.Token == p.token {
		return nil // the stream has this version
	}
	batch := p.t.enc.Batch(view, e)
	first, size := uint64(0), 0
	for i := range batch.Len() {
		m := batch.Message(i)
		seq, err := p.keep(ctx, p.subjects.Log, m.JSON, natsgo.Header{wire.HeaderLineage: {p.lineage}}, jetstream.WithExpectLastSequencePerSubject(p.seq))
		if err != nil {
			return err
		}
		p.seq, size = seq, size+len(m.JSON)
		if i == 0 {
			first = seq
		}
	}
	p.token = batch.Token()
	if e.Kind != live.Synced {
		p.since += size
		return nil
	}
	return p.noteSnapshot(ctx, first, size)
}

// noteSnapshot says where the snapshot begins, and purges everything before the
// previous snapshot. A node that is still reading the previous one can finish.
func (p *publisher) noteSnapshot(ctx context.Context, first uint64, size int) error {
	p.t.snapshots.Add(1)
	raw, err := json.Marshal(wire.SnapshotAt{Seq: first, Bytes: size})
	if err != nil {
		return err
	}
	if _, err := p.keep(ctx, p.subjects.At, raw, natsgo.Header{"Nats-Rollup": {"sub"}}); err != nil {
		return err
	}
	before := p.snapshot
	p.snapshot, p.size, p.since = first, size, 0
	if before == 0 {
		return nil
	}
	stream, err := p.t.js.Stream(ctx, p.t.cfg.Stream)
	if err != nil {
		return err
	}
	return stream.Purge(ctx, jetstream.WithPurgeSubject(p.subjects.Log), jetstream.WithPurgeSequence(before))
}

// keep publishes one message and waits until the server has stored it.
func (p *publisher) keep(ctx context.Context, subject string, data []byte, header natsgo.Header, opts ...jetstream.PublishOpt) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, p.t.cfg.AckTimeout)
	defer cancel()
	ack, err := p.t.js.PublishMsg(ctx, &natsgo.Msg{Subject: subject, Data: data, Header: header}, opts...)
	if err != nil {
		return 0, err
	}
	p.t.messages.Add(1)
	p.t.bytes.Add(uint64(len(data)))
	return ack.Sequence, nil
}
