package jetsource_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/sources/jetsource"
	"github.com/binderyhq/bindery/sources/sourcetest/natstest"
	binderynats "github.com/binderyhq/bindery/transports/nats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type item struct {
	ID    int    `json:"id"`
	Venue string `json:"venue"`
	Name  string `json:"name"`
}

// versions notes every version that bindings have had.
type versions struct {
	mu  sync.Mutex
	had map[string]string // guarded by mu
}

func (h *versions) Name() string                                { return "versions" }
func (h *versions) Start(context.Context, *core.Registry) error { return nil }
func (h *versions) Shutdown(context.Context) error              { return nil }
func (h *versions) Published(v *live.View, _ *live.Event) {
	s := v.Snapshot() // nothing is published before this returns
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.had == nil {
		h.had = make(map[string]string)
	}
	h.had[s.Version().Token] = string(s.Body())
}

// world is a server, a table, and what its origins have had.
type world struct {
	t      *testing.T
	server *natstest.Server
	table  *coretest.Table[item]
	was    versions
}

func newWorld(t *testing.T) *world {
	return &world{t: t, server: natstest.StartJetStream(t), table: coretest.NewTable[item]("things", "id")}
}

func (w *world) registry() *core.Registry {
	reg := core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), LoadWait: -1}.NewRegistry()
	w.t.Cleanup(func() { w.stop(reg) })
	return reg
}

func (w *world) stop(reg *core.Registry) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := reg.Shutdown(ctx); err != nil {
		w.t.Errorf("Shutdown: %v", err)
	}
}

// beat is how often a publisher shows that it is alive. Another one takes over when it
// has heard none for three beats of its own.
const beat = 30 * time.Millisecond

// publisher starts a registry that publishes the table.
func (w *world) publisher(conn *nats.Conn, beat time.Duration) (*core.Registry, *core.Binding[item], *binderynats.Transport, *coretest.Source) {
	w.t.Helper()
	reg, b, source := w.registry(), core.Bind("things", w.table, core.OrderBy("-name")), &coretest.Source{}
	family := core.BindFamily("shelf", w.table, core.Where(filter.Eq("venue", filter.Param("venue"))))
	tr := binderynats.New(conn, binderynats.Config{Beat: beat, MinSnapshot: 1, PageRows: 4, AckTimeout: time.Second, Members: []string{"shelf?venue=store"}})
	_, _, _, _ = reg.Add(b, family), reg.Watch(source), reg.Use(&w.was), reg.Serve(tr)
	if err := reg.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return reg, b, tr, source
}

var short = jetsource.Config{Silence: 300 * time.Millisecond, Timeout: time.Second}

// follower starts a registry that follows.
func (w *world) follower(conn *nats.Conn, seen *versions) (*core.Registry, *core.Binding[item], *jetsource.Origin) {
	w.t.Helper()
	o := jetsource.New(conn, short)
	reg, b := w.registry(), jetsource.Bind[item](o, "things")
	_ = reg.Add(b, jetsource.BindFamily[item](o, "shelf", core.Where(filter.Eq("venue", filter.Param("venue")))))
	if seen != nil {
		_ = reg.Use(seen)
	}
	if err := reg.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return reg, b, o
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("never: %s", what)
		}
	}
}

func (w *world) reaches(reg *core.Registry, b *core.Binding[item], token string) {
	w.t.Helper()
	w.eventually("version "+token, func() bool { return b.Version().Token == token && reg.StatusOf(b.View).State == status.Live })
}

// write puts rows and reports them.
func (w *world) write(source *coretest.Source, from, to int, name string) {
	for id := from; id <= to; id++ {
		change := w.table.Put(item{id, []string{"store", "online"}[id%2], fmt.Sprint(name, id)})
		if source != nil {
			_ = source.Report(w.t.Context(), change)
		}
	}
}

// TestFollowersOverJetStream: followers show what the origin has had, with its
// tokens, while it, the server and another publisher come and go; late ones begin with
// the snapshot, and earlier ones go on from their position.
func TestFollowersOverJetStream(t *testing.T) {
	w := newWorld(t)
	conn := w.server.Connect(t)
	w.write(nil, 1, 20, "a")
	pub, b, tr, source := w.publisher(conn, beat)
	<-b.Loaded()
	var seen versions
	reg, early, origin := w.follower(w.server.Connect(t), &seen)
	w.reaches(reg, early, b.Version().Token)

	// Small changes until there have been several snapshots.
	for round := range 12 {
		w.write(source, 1+round, 3+round, fmt.Sprint("round", round, "-"))
		_ = source.Report(t.Context(), w.table.Remove(driver.KeyOf(20-round)))
		w.reaches(reg, early, b.Version().Token)
	}
	w.reaches(reg, early, b.Version().Token)
	w.eventually("there are several snapshots", func() bool { s := tr.Stats(); return s.Snapshots >= 2 && s.Publishing >= 2 })
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "BINDERY")
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("bindery.things.log"))
	if err != nil || first.State.Subjects["bindery.things.log"] >= tr.Stats().Messages {
		t.Errorf("nothing was purged: %+v, %v", first, err)
	}
	lateReg, late, lateOrigin := w.follower(conn, nil)
	w.reaches(lateReg, late, b.Version().Token)
	if s := lateOrigin.Status(); s.Snapshots != 1 || s.Mismatches > 0 {
		t.Errorf("a late node: %+v", s)
	}
	member, release, err := lateReg.Hold(t.Context(), "shelf", core.Args{"venue": "store"})
	if err != nil || member.Len() == 0 {
		t.Errorf("a member: %v, %v", member, err)
	} else {
		release()
	}

	// The server goes and comes back: stale meanwhile, and on from the position.
	before := origin.Status()
	w.server.Stop()
	w.eventually("stale", func() bool { return early.Status().State == status.Stale })
	w.write(source, 1, 2, "meanwhile")
	w.server.Restart(t)
	w.reaches(reg, early, b.Version().Token)
	if s := origin.Status(); s.Snapshots != before.Snapshots || s.Mismatches+s.Resyncs > 0 {
		t.Errorf("after the server came back: %+v, before %+v", s, before)
	}

	// A second publisher stands by, and goes on when the first has gone. It is patient: on
	// a busy machine the first may be silent for long.
	pub2, b2, tr2, source2 := w.publisher(w.server.Connect(t), 40*beat)
	<-b2.Loaded()
	w.write(source, 3, 4, "one of two")
	w.write(source2, 3, 4, "one of two")
	w.reaches(reg, early, b.Version().Token)
	if s := tr2.Stats(); s.Publishing > 0 {
		t.Errorf("two publish: %+v", s)
	}
	w.stop(pub)
	w.write(source2, 5, 6, "after")
	w.reaches(reg, early, b2.Version().Token)
	// It counts a message once the server has taken it, which followers need not wait for.
	w.eventually("the second publishes", func() bool { return tr2.Stats().Messages > 0 })

	// Nobody publishes: stale. The next one finds what stands, and sends nothing.
	w.stop(pub2)
	w.eventually("stale", func() bool { return early.Status().State == status.Stale })
	before = origin.Status()
	_, b3, _, _ := w.publisher(conn, beat)
	<-b3.Loaded()
	w.reaches(reg, early, b3.Version().Token)
	if s := origin.Status(); s != before {
		t.Errorf("sent again: %+v, before %+v", s, before)
	}

	w.was.mu.Lock()
	defer w.was.mu.Unlock()
	seen.mu.Lock()
	defer seen.mu.Unlock()
	n := 0
	for token, body := range seen.had {
		if want, ok := w.was.had[token]; strings.HasPrefix(body, "[") && (!ok || want != body) {
			t.Errorf("version %s (known: %v) shows %s", token, ok, body)
		}
		n++
	}
	t.Logf("%d versions of %d; %+v", n, len(w.was.had), origin.Status())
}

// TestNonsenseInTheStream: what somebody else writes there is not shown; the follower
// begins anew, and goes on with the next snapshot.
func TestNonsenseInTheStream(t *testing.T) {
	w := newWorld(t)
	conn := w.server.Connect(t)
	w.write(nil, 1, 5, "a")
	pub, b, _, _ := w.publisher(conn, beat)
	<-b.Loaded()
	reg, follower, origin := w.follower(conn, nil)
	w.reaches(reg, follower, b.Version().Token)
	w.stop(pub)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	forged := map[string]any{"event": "things", "action": "delete", "payload": []any{map[string]int{"id": 1}}, "version": "AAAAAAAAAAAAAAAAAAAAAA", "keys": []string{"AA"}}
	raw, _ := json.Marshal(forged)
	if _, err := js.Publish(t.Context(), "bindery.things.log", raw); err != nil {
		t.Fatal(err)
	}
	w.eventually("a mismatch", func() bool { return origin.Status().Mismatches > 0 })
	if follower.Len() != 5 {
		t.Errorf("it shows %d rows", follower.Len())
	}
	_, b2, _, source := w.publisher(conn, beat)
	<-b2.Loaded()
	w.write(source, 1, 3, "b")
	w.reaches(reg, follower, b2.Version().Token)
}

func TestArguments(t *testing.T) {
	w := newWorld(t)
	conn := w.server.Connect(t)
	reg := w.registry()
	_ = reg.Add(
		jetsource.Bind[item](nil, "a"), jetsource.Bind[item](jetsource.New(nil), "b"),
		jetsource.Bind[item](jetsource.New(conn, short, short), "c"), jetsource.Bind[item](jetsource.New(conn, jetsource.Config{Silence: -1}), "d"),
	)
	err := reg.Start(t.Context())
	for _, want := range []string{"origin is nil", "connection is nil", "more than one", "is negative"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	for want, tr := range map[string]*binderynats.Transport{
		"connection is nil": binderynats.New(nil), "more than one": binderynats.New(conn, binderynats.Config{}, binderynats.Config{}),
		"want letters": binderynats.New(conn, binderynats.Config{Prefix: "a.*"}), "is negative": binderynats.New(conn, binderynats.Config{Beat: -1}),
	} {
		reg := w.registry()
		_ = reg.Serve(tr)
		if err := reg.Start(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if err := tr.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if s := wire.SubjectsOf("p", "shelf?venue=a b"); strings.ContainsAny(s.Log, " ?=*>") || s.Log == wire.SubjectsOf("p", "shelf?venue=a").Log {
		t.Error(s)
	}
	if errors.Is(err, nats.ErrTimeout) {
		t.Error(err)
	}
}
