package jetsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/sources/internal/replicate"
)

// Replicate implements [core.Replicator].
func (l *loader[T]) Replicate(ctx context.Context, to *core.Replica) error {
	f := &following[T]{
		loader: l, to: to, view: to.View(), subjects: wire.SubjectsOf(l.origin.cfg.Prefix, to.View().ID()),
		applier: replicate.New[T](to, l.Table, &l.origin.counts), gather: wire.Gatherer{MaxBytes: l.origin.cfg.MaxBytes},
	}
	js, err := jetstream.New(l.origin.conn, jetstream.WithDefaultTimeout(l.origin.cfg.Timeout))
	if err != nil {
		return fmt.Errorf("jetsource: %w", err)
	}
	for nonsense := uint64(0); ; {
		err := f.follow(ctx, js)
		var bad *wire.MalformedError
		if ctx.Err() != nil || !errors.As(err, &bad) {
			return err
		}
		l.origin.resyncs.Add(1)
		l.positions.set(f.view, position{})
		if f.seq <= nonsense { // the snapshot did not help: retry later
			return err
		}
		// The messages after the position are malformed: begin with the snapshot.
		nonsense = f.seq
		f.gather.Drop()
		f.fresh = true
	}
}

// following is one call of Replicate.
type following[T any] struct {
	loader   *loader[T]
	view     *live.View
	subjects wire.Subjects
	applier  *replicate.Follower[T]
	gather   wire.Gatherer

	to      *core.Replica
	lineage string // of the messages taken last

	fresh bool   // begin with the snapshot, even if rows are held
	from  string // the version after the messages read so far
	seq   uint64 // the last message of the stream that was taken
	beat  wire.Beat
}

// begin returns the position in the stream to begin at.
func (f *following[T]) begin(ctx context.Context, stream jetstream.Stream) (uint64, error) {
	info, err := stream.Info(ctx)
	if err != nil {
		return 0, err
	}
	f.from = f.applier.Version()
	if at := f.loader.positions.of(f.view).seq; at > 0 && f.from != "" && !f.fresh && at+1 >= info.State.FirstSeq && at <= info.State.LastSeq {
		f.seq = at
		return at + 1, nil
	}
	f.from = ""
	msg, err := stream.GetLastMsgForSubject(ctx, f.subjects.At)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, fmt.Errorf("the stream %q has no snapshot of %q: is it published?", f.loader.origin.cfg.Stream, f.view.ID())
	}
	if err != nil {
		return 0, err
	}
	var at wire.SnapshotAt
	if err := json.Unmarshal(msg.Data, &at); err != nil || at.Seq == 0 {
		return 0, &wire.MalformedError{Detail: "where the snapshot begins"}
	}
	f.loader.origin.snapshots.Add(1)
	return at.Seq, nil
}

// follow reads the stream until something fails.
func (f *following[T]) follow(ctx context.Context, js jetstream.JetStream) error {
	cfg := f.loader.origin.cfg
	asking, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	stream, err := js.Stream(asking, cfg.Stream)
	if err != nil {
		return fmt.Errorf("jetsource: the stream %q: %w", cfg.Stream, err)
	}
	beats := make(chan wire.Beat, 1) // the latest
	heard, err := f.loader.origin.conn.Subscribe(f.subjects.Beat, func(m *nats.Msg) {
		var b wire.Beat
		if json.Unmarshal(m.Data, &b) != nil {
			return
		}
		select {
		case <-beats: // nobody has looked at it, and it is out of date
		default:
		}
		beats <- b
	})
	if err != nil {
		return fmt.Errorf("jetsource: %w", err)
	}
	defer func() { _ = heard.Unsubscribe() }()
	first, err := f.begin(asking, stream)
	if err != nil {
		return fmt.Errorf("jetsource: %w", err)
	}
	consumer, err := stream.OrderedConsumer(asking, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{f.subjects.Log}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: first,
	})
	if err != nil {
		return fmt.Errorf("jetsource: %w", err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("jetsource: %w", err)
	}
	arrived, failed := make(chan jetstream.Msg), make(chan error, 1)
	reading, stop := context.WithCancel(ctx)
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			m, err := messages.Next()
			if err != nil {
				failed <- err
				return
			}
			select {
			case arrived <- m:
			case <-reading.Done():
				return
			}
		}
	})
	defer func() {
		stop()
		messages.Stop()
		reader.Wait()
	}()
	silence := time.NewTimer(cfg.Silence)
	defer silence.Stop()
	for {
		select {
		case m := <-arrived:
			if err := f.take(m); err != nil {
				return err
			}
			f.level()
		case f.beat = <-beats:
			silence.Reset(cfg.Silence)
			f.level()
		case <-silence.C:
			f.beat = wire.Beat{}
			f.applier.Lost(errors.New("no publisher is heard"))
			silence.Reset(cfg.Silence)
		case err := <-failed:
			return fmt.Errorf("jetsource: reading the stream: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// level takes over the publisher's state once the binding has the publisher's last
// message.
func (f *following[T]) level() {
	if f.beat.Seq > 0 && f.seq >= f.beat.Seq {
		if f.seq == f.beat.Seq { // else the beat is of a publisher who was replaced
			f.publishedBy(f.beat.Lineage)
			f.note()
		}
		f.applier.State(f.beat.State)
	}
}

// take takes a message of the stream.
func (f *following[T]) take(msg jetstream.Msg) error {
	meta, err := msg.Metadata()
	if err != nil {
		return fmt.Errorf("jetsource: %w", err)
	}
	m, err := wire.Decode(msg.Data())
	if err != nil {
		return err
	}
	step, err := f.gather.Add(m, len(msg.Data()), f.from)
	if err != nil || step == nil {
		return err
	}
	f.publishedBy(msg.Headers().Get(wire.HeaderLineage))
	if err := f.applier.Step(step); err != nil {
		return err
	}
	f.from, f.seq, f.fresh = step.Last().Version, meta.Sequence.Stream, false
	f.note()
	return nil
}

// publishedBy notes whose versions the view shows from now on.
func (f *following[T]) publishedBy(lineage string) {
	f.lineage = lineage
	f.to.From(lineage)
}

// note notes the view's position.
func (f *following[T]) note() {
	f.loader.positions.set(f.view, position{f.seq, f.lineage})
}
