package pollsource

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// script is a check that finds what the test tells it to. All times in these
// tests are those of a synctest bubble.
type script struct {
	mu     sync.Mutex
	found  map[string]finding // by table name, until it is changed
	fail   map[string]error
	block  bool // until the context ends
	looks  []time.Duration
	begin  time.Time
	opened int
	closed int
}

func (s *script) validate() error              { return nil }
func (s *script) fullPass() time.Duration      { return 0 }
func (s *script) group(t driver.Schema) string { return t.Table.String() }
func (s *script) set(table string, f finding)  { s.mu.Lock(); defer s.mu.Unlock(); s.found[table] = f }

func (s *script) setFail(table string, e error) { s.mu.Lock(); defer s.mu.Unlock(); s.fail[table] = e }
func (s *script) setBlock(b bool)               { s.mu.Lock(); defer s.mu.Unlock(); s.block = b }
func (s *script) lookTimes() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.looks)
}

func (s *script) openWatchers() (opened, cl int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened, s.closed
}

func (s *script) watch(t driver.Schema) watcher {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	return &scripted{s, t.Table.Name}
}

type scripted struct {
	*script
	table string
}

func (s *scripted) look(ctx context.Context) (finding, error) {
	s.mu.Lock()
	s.looks = append(s.looks, time.Since(s.begin))
	f, err, block := s.found[s.table], s.fail[s.table], s.block
	s.mu.Unlock()
	if block {
		<-ctx.Done()
		return finding{}, errors.New("in the driver's words")
	}
	return f, err
}

func (s *scripted) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
	return nil
}

func newScript() *script {
	return &script{found: map[string]finding{}, fail: map[string]error{}, begin: time.Now()}
}

// recorder is a sink whose tables may change.
type recorder struct {
	mu       sync.Mutex
	tables   []driver.Schema
	changed  chan struct{}
	begin    time.Time
	calls    []string // "watching", "lost: …", "table", "table*" (whole), each with its time
	receipts chan struct{}
}

func newRecorder(tables ...string) *recorder {
	r := &recorder{begin: time.Now(), changed: make(chan struct{})}
	r.tables = schemas(tables...)
	return r
}

func schemas(tables ...string) (list []driver.Schema) {
	for _, t := range tables {
		list = append(list, driver.Schema{
			Table: driver.Table{Name: t}, Key: []string{"id"},
			Columns: []driver.Column{{Name: "id", Kind: value.KindInt}},
		})
	}
	return list
}

func (r *recorder) bind(tables ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tables = schemas(tables...)
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *recorder) note(what string) {
	r.calls = append(r.calls, time.Since(r.begin).String()+" "+what)
}

// take returns what was called since it was last asked.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

func (r *recorder) Tables() ([]driver.Schema, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.tables), r.changed
}

func (r *recorder) Report(changes ...driver.Change) driver.Receipt {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range changes {
		if c.Keys == nil {
			r.note(c.Table.Name + "*")
		} else {
			r.note(c.Table.Name)
		}
	}
	return receipt{r.receipts}
}

func (r *recorder) Announce(...driver.Change) driver.Announcement { panic("polling announces nothing") }

func (r *recorder) Watching() { r.mu.Lock(); defer r.mu.Unlock(); r.note("watching") }

func (r *recorder) Lost(err error) { r.mu.Lock(); defer r.mu.Unlock(); r.note("lost: " + err.Error()) }

// receipt waits for a channel; nil does not wait.
type receipt struct{ shown chan struct{} }

func (r receipt) Wait(ctx context.Context) error {
	if r.shown == nil {
		return nil
	}
	select {
	case <-r.shown:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// poll runs a source against a recorder in a bubble; advance lets time pass and
// everything settle.
func poll(t *testing.T, test func(t *testing.T, start func(*Source, *recorder), advance func(time.Duration))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		begun := 0
		start := func(s *Source, r *recorder) {
			begun++
			go func() { done <- s.Watch(ctx, r) }()
			synctest.Wait()
		}
		// Between two ticks, so that no order within an instant matters.
		advance := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		test(t, start, advance)
		cancel()
		for range begun {
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("Watch returned %v; want the context's error", err)
			}
		}
	})
}

func want(t *testing.T, r *recorder, calls ...string) {
	t.Helper()
	if got := r.take(); !slices.Equal(got, calls) {
		t.Errorf("the sink was told\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(calls, "\n\t"))
	}
}

// steady has no jitter.
var steady = Config{Jitter: -1}

func TestEveryReportsWholeTables(t *testing.T) {
	poll(t, func(t *testing.T, start func(*Source, *recorder), advance func(time.Duration)) {
		r := newRecorder("a", "b")
		start(New(time.Minute, nil, steady), r)
		want(t, r, "0s watching")
		advance(2*time.Minute + time.Second)
		want(t, r, "1m0s a*", "1m0s b*", "2m0s a*", "2m0s b*")
		r.bind("b", "c")
		advance(time.Minute)
		want(t, r, "3m0s b*", "3m0s c*")
	})
}

func TestOnlyWhatTheCheckFinds(t *testing.T) {
	poll(t, func(t *testing.T, start func(*Source, *recorder), advance func(time.Duration)) {
		r, s := newRecorder("a", "b"), newScript()
		start(New(time.Second, s, steady), r)
		want(t, r, "0s watching")
		advance(1500 * time.Millisecond)
		s.set("b", finding{keys: []driver.Key{"k"}, changed: true})
		advance(time.Second)
		s.set("b", finding{})
		s.set("a", finding{whole: true, changed: true})
		advance(time.Second)
		want(t, r, "2s b", "3s a*")
	})
}

func TestTablesBoundLater(t *testing.T) {
	poll(t, func(t *testing.T, start func(*Source, *recorder), advance func(time.Duration)) {
		r, s := newRecorder("a"), newScript()
		start(New(time.Minute, s, steady), r)
		advance(time.Second)
		r.bind("a", "b")
		advance(time.Second)
		// b may have been read before it was first looked at.
		want(t, r, "0s watching", "1s b*")
		r.bind("b")
		advance(time.Second)
		if opened, closed := s.openWatchers(); opened != 2 || closed != 1 {
			t.Errorf("%d watchers opened, %d closed; want 2 and 1", opened, closed)
		}
		s.set("b", finding{whole: true, changed: true})
		advance(time.Minute)
		want(t, r, "1m0s b*")
	})
}

func TestBackOffWhileNothingChanges(t *testing.T) {
	poll(t, func(t *testing.T, start func(*Source, *recorder), advance func(time.Duration)) {
		r, s := newRecorder("a"), newScript()
		start(New(time.Second, s, Config{Jitter: -1, MaxInterval: 5 * time.Second}), r)
		advance(18500 * time.Millisecond)
		want(t, r, "0s watching")
		s.set("a", finding{whole: true, changed: true})
		advance(7 * time.Second)
		if got, want := s.lookTimes(), seconds(0, 1, 3, 7, 12, 17, 22, 23, 24, 25); !slices.Equal(got, want) {
			t.Errorf("looked at %v, want %v", got, want)
		}
		r.take()
		// A finding that only repeats is reported, but keeps nobody awake.
		s.set("a", finding{whole: true})
		advance(10 * time.Second)
		want(t, r, "26s a*", "28s a*", "32s a*")
	})
}

func seconds(list ...int) (out []time.Duration) {
	for _, n := range list {
		out = append(out, time.Duration(n)*time.Second)
	}
	return out
}

func TestFailures(t *testing.T) {
	poll(t, func(t *testing.T, start func(*Source, *recorder), advance func(time.Duration)) {
		r, s := newRecorder("a"), newScript()
		start(New(time.Second, s, steady), r)
		s.setFail("a", errors.New("gone"))
		advance(100500 * time.Millisecond)
		want(t, r, "0s watching", `1s lost: pollsource: looking for changes of "a": gone`)
		s.setFail("a", errors.New("still gone"))
		advance(30 * time.Second)
		want(t, r, `2m2s lost: pollsource: looking for changes of "a": still gone`)
		s.setFail("a", nil)
		advance(30 * time.Second)
		// The look that succeeds is a first one, compared with nothing.
		want(t, r, "2m32s a*", "2m32s watching")
		if got, want := s.lookTimes(), seconds(0, 1, 2, 4, 8, 16, 32, 62, 92, 122, 152, 153, 154, 155, 156, 157, 158, 159, 160); !slices.Equal(got, want) {
			t.Errorf("looked at %v, want %v", got, want)
		}
	})
}

func TestOneFailingTableDoesNotStopTheOthers(t *testing.T) {
	poll(t, func(t *testing.T, start func(*Source, *recorder), advance func(time.Duration)) {
		r, s := newRecorder("a", "b"), newScript()
		s.setFail("a", errors.New("no such column"))
		start(New(time.Second, s, steady), r)
		s.set("b", finding{whole: true, changed: true})
		advance(3500 * time.Millisecond)
		want(t, r, `0s lost: pollsource: looking for changes of "a": no such column`, "1s b*", "2s b*", "3s b*")
	})
}

func TestTimeout(t *testing.T) {
	poll(t, func(t *testing.T, start func(*Source, *recorder), advance func(time.Duration)) {
		r, s := newRecorder("a"), newScript()
		s.setBlock(true)
		start(New(time.Second, s, Config{Jitter: -1, Timeout: 4 * time.Second}), r)
		advance(4500 * time.Millisecond)
		want(t, r, `4s lost: pollsource: looking for changes of "a": no answer within 4s`)
		s.setBlock(false)
		advance(time.Second)
		want(t, r, "5s a*", "5s watching")
		s.setBlock(true)
		advance(time.Second) // and Watch ends in the middle of a look
	})
}

func TestPollsPaceThemselvesByTheReads(t *testing.T) {
	poll(t, func(t *testing.T, start func(*Source, *recorder), advance func(time.Duration)) {
		r := newRecorder("a")
		r.receipts = make(chan struct{})
		start(New(time.Second, nil, steady), r)
		advance(5500 * time.Millisecond)
		want(t, r, "0s watching", "1s a*", "3s a*", "5s a*")
	})
}

func TestJitterShortens(t *testing.T) {
	poll(t, func(t *testing.T, start func(*Source, *recorder), advance func(time.Duration)) {
		r, s := newRecorder("a"), newScript()
		start(New(time.Second, s, Config{Jitter: 0.5}), r)
		advance(100 * time.Second)
		looks := s.lookTimes()
		for i := 1; i < len(looks); i++ {
			if d := looks[i] - looks[i-1]; d < 500*time.Millisecond || d > time.Second {
				t.Fatalf("waited %v; want between half an interval and one", d)
			}
		}
		if len(looks) < 105 {
			t.Errorf("%d looks in 100 intervals: there is no jitter", len(looks))
		}
	})
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		source *Source
		parts  []string
	}{
		{Every(0), []string{"interval 0s"}},
		{
			New(-1, nil, Config{MaxInterval: -1, Timeout: -1, Jitter: 2, Tables: []driver.Table{{Schema: "s"}}}),
			[]string{"interval", "MaxInterval", "Timeout", "Jitter", "Tables[0]"},
		},
		{New(time.Second, nil, Config{MaxInterval: time.Minute}), []string{"MaxInterval needs a check"}},
		{New(time.Second, nil, Config{FullPass: time.Minute}), []string{"FullPass needs a check"}},
		{New(time.Minute, newScript(), Config{MaxInterval: time.Second}), []string{"below the interval"}},
	} {
		err := c.source.Watch(t.Context(), newRecorder())
		if !driver.IsPermanent(err) {
			t.Errorf("Watch returned %v; want a permanent error", err)
			continue
		}
		for _, p := range c.parts {
			if !strings.Contains(err.Error(), p) {
				t.Errorf("the error does not say %q: %v", p, err)
			}
		}
	}
	if err := Every(time.Minute).Validate(); err != nil {
		t.Error(err)
	}
}

func TestCovers(t *testing.T) {
	named := New(time.Second, nil, Config{Database: "x", Tables: []driver.Table{{Name: "a"}, {Database: "y", Schema: "s", Name: "b"}}})
	for _, c := range []struct {
		source *Source
		table  driver.Table
		want   bool
	}{
		{Every(1), driver.Table{Name: "a"}, true},
		{Every(1), driver.Table{Database: "x", Name: "a"}, true},
		{New(1, nil, Config{Database: "x"}), driver.Table{Name: "a"}, false},
		{New(1, newScript()), driver.Table{Name: "a"}, true},
		{New(1, newScript()), driver.Table{Database: "x", Name: "a"}, false},
		{named, driver.Table{Name: "a"}, false},
		{named, driver.Table{Database: "x", Name: "a"}, true},
		{named, driver.Table{Database: "x", Schema: "s", Name: "a"}, true},
		{named, driver.Table{Database: "y", Schema: "s", Name: "b"}, true},
		{named, driver.Table{Database: "y", Name: "b"}, false},
	} {
		if got := c.source.Scope().Covers(c.table); got != c.want {
			t.Errorf("%+v covers %q: %v, want %v", c.source.cfg, c.table, got, c.want)
		}
	}
}

// orZero returns what p points to, the zero value for nil.
func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
