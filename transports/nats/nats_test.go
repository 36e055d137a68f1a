package nats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/sources/sourcetest/natstest"
	binderynats "github.com/binderyhq/bindery/transports/nats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type item struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
	Rank int    `json:"rank"`
}

func start(t *testing.T, table *coretest.Table[item], tr *binderynats.Transport) (*core.Binding[item], *coretest.Source) {
	t.Helper()
	reg := core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry()
	b, source := core.Bind("things", table), &coretest.Source{}
	_ = reg.Add(b, core.Bind("hidden", table, core.OrderBy("rank"), core.Columns("id", "name")))
	_, _ = reg.Watch(source), reg.Serve(tr)
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		if err := reg.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return b, source
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestStream: the stream holds a snapshot, from where it says that it begins, and the
// changes since, up to the version that the binding has; what is older is purged.
func TestStream(t *testing.T) {
	conn := natstest.StartJetStream(t).Connect(t)
	table := coretest.NewTable[item]("things", "id")
	for id := range 20 {
		table.Put(item{ID: id, Name: "a thing", Rank: -id})
	}
	tr := binderynats.New(conn, binderynats.Config{Beat: 20 * time.Millisecond, MinSnapshot: 1, PageRows: 7})
	b, source := start(t, table, tr)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	subjects := wire.SubjectsOf("bindery", "things")
	stream := func() jetstream.Stream {
		s, err := js.Stream(t.Context(), "BINDERY")
		if err != nil {
			return nil
		}
		return s
	}
	stands := func() bool {
		s := stream()
		if s == nil {
			return false
		}
		msg, err := s.GetLastMsgForSubject(t.Context(), subjects.Log)
		if err != nil {
			return false
		}
		m, err := wire.Decode(msg.Data)
		return err == nil && !m.More && m.Version == b.Version().Token
	}
	eventually(t, "the first version", stands)
	for i := range 60 {
		_ = source.Report(t.Context(), table.Put(item{ID: i % 20, Name: strings.Repeat("x", i)}))
		if i%5 == 0 {
			eventually(t, "the version", stands)
		}
	}
	eventually(t, "the last version", stands)

	msg, err := stream().GetLastMsgForSubject(t.Context(), subjects.At)
	if err != nil {
		t.Fatal(err)
	}
	var at wire.SnapshotAt
	if err := json.Unmarshal(msg.Data, &at); err != nil {
		t.Fatal(err)
	}
	info, err := stream().Info(t.Context(), jetstream.WithSubjectFilter(">"))
	if err != nil {
		t.Fatal(err)
	}
	if sent, kept := tr.Stats().Messages, info.State.Msgs; kept >= sent || info.State.Subjects[subjects.At] != 1 {
		t.Errorf("%d messages of %d are kept: %v", kept, sent, info.State.Subjects)
	}
	for subject := range info.State.Subjects {
		if strings.Contains(subject, "hidden") {
			t.Errorf("%s is published, and its order is hidden", subject)
		}
	}
	var gather wire.Gatherer
	held := ""
	for seq := at.Seq; seq <= info.State.LastSeq; seq++ {
		msg, err := stream().GetMsg(t.Context(), seq)
		if err != nil || msg.Subject != subjects.Log {
			continue
		}
		m, err := wire.Decode(msg.Data)
		if err != nil {
			t.Fatal(err)
		}
		step, err := gather.Add(m, len(msg.Data), held)
		if err != nil {
			t.Fatalf("message %d: %v", seq, err)
		}
		if step != nil {
			held = step.Last().Version
		}
	}
	if held != b.Version().Token {
		t.Errorf("the stream leads to %s, the binding is at %s", held, b.Version().Token)
	}
	if s := tr.Status(); s.Open != 1 {
		t.Errorf("%+v", s)
	}
}

// TestLongRow: a row that the server does not take is said, and keeps nobody else.
func TestLongRow(t *testing.T) {
	conn := natstest.StartJetStream(t).Connect(t)
	table := coretest.NewTable[item]("things", "id")
	table.Put(item{ID: 1, Name: strings.Repeat("x", 2<<20)})
	tr := binderynats.New(conn, binderynats.Config{Beat: 5 * time.Millisecond, Bindings: []string{"things"}})
	start(t, table, tr)
	eventually(t, "a failure", func() bool { return tr.Stats().Failures > 0 })
	if s := tr.Stats(); s.Messages > 0 || s.Publishing > 0 {
		t.Errorf("%+v", s)
	}
}

// TestShutdownBesideChanges: whatever comes at the moment of the shutdown, the publishers
// end. There are many of them, so that some are between two messages then.
func TestShutdownBesideChanges(t *testing.T) {
	conn := natstest.StartJetStream(t).Connect(t)
	for range 5 {
		table := coretest.NewTable[item]("things", "id")
		reg := core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry()
		tr, source := binderynats.New(conn, binderynats.Config{Beat: 5 * time.Millisecond}), &coretest.Source{}
		_, _ = reg.Watch(source), reg.Serve(tr)
		const bindings = 30
		for i := range bindings {
			_ = reg.Add(core.Bind(fmt.Sprint("things", i), table))
		}
		if err := reg.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		writing, stop := context.WithCancel(t.Context())
		var writer sync.WaitGroup
		writer.Go(func() {
			for n := 0; writing.Err() == nil; n++ {
				_ = source.Report(writing, table.Put(item{ID: n % 5, Rank: n}))
			}
		})
		eventually(t, "it publishes", func() bool { return tr.Stats().Publishing == bindings && tr.Stats().Messages > 3*bindings })
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		if err := tr.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		stop()
		writer.Wait()
		if err := reg.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		if t.Failed() {
			return
		}
	}
}
