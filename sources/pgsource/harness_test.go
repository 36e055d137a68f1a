package pgsource

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

const patient = 60 * time.Second // no test takes that long, unless it fails

// fakeSink records what a source reports.
type fakeSink struct {
	visible func(driver.Change) // called with each report, if set

	mu       sync.Mutex // guards what follows
	schemas  []driver.Schema
	changed  chan struct{}
	moved    chan struct{} // closed at every call, then replaced
	reports  [][]driver.Change
	watching int // calls of Watching
}

func newFakeSink(schemas ...driver.Schema) *fakeSink {
	return &fakeSink{schemas: schemas, changed: make(chan struct{}), moved: make(chan struct{})}
}

func (s *fakeSink) Tables() ([]driver.Schema, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.schemas), s.changed
}

func (s *fakeSink) bind(schemas ...driver.Schema) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schemas = append(s.schemas, schemas...)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *fakeSink) note(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	close(s.moved)
	s.moved = make(chan struct{})
}

func (s *fakeSink) Report(changes ...driver.Change) driver.Receipt {
	if s.visible != nil {
		for _, c := range changes {
			s.visible(c)
		}
	}
	s.note(func() { s.reports = append(s.reports, changes) })
	return shown{}
}

func (s *fakeSink) Announce(...driver.Change) driver.Announcement {
	panic("pgsource does not announce")
}
func (s *fakeSink) Watching()  { s.note(func() { s.watching++ }) }
func (s *fakeSink) Lost(error) {}

type shown struct{}

func (shown) Wait(context.Context) error { return nil }

// until waits until the condition holds, which is called with the lock held.
func (s *fakeSink) until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(patient)
	for {
		s.mu.Lock()
		ok, moved := cond(), s.moved
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-moved:
		case <-deadline:
			t.Fatalf("waited in vain for %s; reports: %v", what, s.take())
		}
	}
}

// take returns what was reported, as sorted text, and forgets it: each change
// as table[key key], or table* for the whole table.
func (s *fakeSink) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, r := range s.reports {
		all = append(all, describe(r))
	}
	s.reports = nil
	return strings.Join(all, " ")
}

func describe(changes []driver.Change) string {
	var texts []string
	for _, c := range changes {
		if c.Keys == nil {
			texts = append(texts, c.Table.String()+"*")
			continue
		}
		var keys []string
		for _, k := range c.Keys {
			keys = append(keys, k.String())
		}
		slices.Sort(keys)
		texts = append(texts, fmt.Sprintf("%s%v", c.Table, keys))
	}
	slices.Sort(texts)
	return strings.Join(texts, "+")
}

// table describes a table whose key columns are given as name:kind.
func table(name string, key ...string) driver.Schema {
	s := driver.Schema{Table: driver.Table{Name: name}}
	if schema, n, ok := strings.Cut(name, "."); ok {
		s.Table = driver.Table{Schema: schema, Name: n}
	}
	kinds := map[string]value.Kind{
		"int": value.KindInt, "text": value.KindText, "time": value.KindTime, "decimal": value.KindDecimal,
		"bytes": value.KindBytes, "bool": value.KindBool, "float": value.KindFloat, "opaque": value.KindOpaque,
	}
	for _, k := range key {
		name, kind, _ := strings.Cut(k, ":")
		s.Columns = append(s.Columns, driver.Column{Name: name, Kind: kinds[kind]})
		s.Key = append(s.Key, name)
	}
	return s
}

// rig is a database, a source that watches it, and a connection that writes.
type rig struct {
	t    testing.TB
	dsn  string
	conn *pgx.Conn
	src  *Source
	sink *fakeSink
	// triggers is what start watches with, if it is set.
	triggers *TriggerSource
	any      driver.Source // likewise, and goes before it
	stop     func() error
	// ended gives what Watch returned, and is closed.
	ended <-chan error
}

func newRig(t testing.TB, statements ...string) *rig {
	t.Helper()
	r := &rig{t: t, dsn: pgtest.Shared(t).CreateDatabase(t)}
	r.conn = dial(t, r.dsn)
	r.exec(statements...)
	return r
}

func dial(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn) // also at the end of a test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (r *rig) exec(statements ...string) {
	r.t.Helper()
	for _, s := range statements {
		if _, err := r.conn.Exec(r.t.Context(), s); err != nil {
			r.t.Fatalf("%s: %v", s, err)
		}
	}
}

// watch starts the source and waits until it is watching.
func (r *rig) watch(cfg *Config, schemas ...driver.Schema) {
	r.t.Helper()
	r.sink = newFakeSink(schemas...)
	r.src = New(r.dsn, orZero(cfg))
	r.start()
	r.awaitWatching()
}

// watchTriggers is watch for the outbox, whose triggers must be there.
func (r *rig) watchTriggers(cfg *TriggerConfig, schemas ...driver.Schema) {
	r.t.Helper()
	r.sink = newFakeSink(schemas...)
	r.triggers = NewTriggers(r.dsn, orZero(cfg))
	r.start()
	r.awaitWatching()
}

// inBothWays runs a test for each of the two sources.
func inBothWays(t *testing.T, test func(t *testing.T, way string)) {
	for _, way := range []string{"log", "triggers"} {
		t.Run(way, func(t *testing.T) { test(t, way) })
	}
}

// watchBy watches in one of the two ways, after all that it needs was installed.
func (r *rig) watchBy(way string, schemas ...driver.Schema) {
	r.t.Helper()
	if way == "log" {
		r.watch(nil, schemas...)
		return
	}
	r.install(Outbox{}, schemas...)
	r.watchTriggers(nil, schemas...)
}

// install installs the outbox for the tables of the schemas.
func (r *rig) install(o Outbox, schemas ...driver.Schema) {
	r.t.Helper()
	var tables []driver.Table
	for _, s := range schemas {
		tables = append(tables, s.Table)
	}
	if err := o.Install(r.t.Context(), r.dsn, tables...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) awaitWatching() {
	r.t.Helper()
	r.sink.until(r.t, "Watching", func() bool {
		select {
		case err := <-r.ended:
			r.t.Fatalf("Watch: %v", err)
		default:
		}
		return r.sink.watching > 0
	})
}

// follower is what both sources are.
type follower interface {
	driver.Source
	driver.Follower
}

// source is the one that was made last.
func (r *rig) source() follower {
	if r.triggers != nil {
		return r.triggers
	}
	return r.src
}

func (r *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	var src driver.Source = r.source()
	if r.any != nil {
		src = r.any
	}
	sink := r.sink
	go func() {
		err := src.Watch(ctx, sink)
		ended <- err
		close(ended)
		sink.note(func() {})
	}()
	r.ended = ended
	r.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patient):
			return fmt.Errorf("Watch does not return")
		}
	})
	r.t.Cleanup(func() { _ = r.stop() })
}

// expect waits for a report of the marker row, and wants what came before it.
func (r *rig) expect(after, want string) {
	r.t.Helper()
	r.exec("INSERT INTO marker DEFAULT VALUES")
	r.sink.until(r.t, "the marker after "+after, func() bool {
		return slices.ContainsFunc(r.sink.reports, func(c []driver.Change) bool {
			return slices.ContainsFunc(c, func(c driver.Change) bool { return c.Table.Name == "marker" })
		})
	})
	var got []string
	for g := range strings.SplitSeq(r.sink.take(), " ") {
		for c := range strings.SplitSeq(g, "+") {
			if !strings.HasPrefix(c, "marker") {
				got = append(got, c)
			}
		}
	}
	if g := strings.Join(got, " "); g != want {
		r.t.Errorf("after %s: reported %s, want %s", after, g, want)
	}
}

const markerTable = "CREATE TABLE marker (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)"

var marker = table("marker", "id:int")

// orZero returns what p points to, the zero value for nil.
func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
