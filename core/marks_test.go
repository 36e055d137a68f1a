package core_test

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/marks"
	"github.com/binderyhq/bindery/core/live"
)

// commitLog is what a database writes of its commits: which item each of them has changed.
type commitLog struct {
	id    byte // tells databases apart
	table *coretest.Table[item]

	mu      sync.Mutex // guards what follows
	changes []driver.Change
	grown   chan struct{} // closed when it grows, then replaced
}

func newCommitLog(id byte) *commitLog {
	return &commitLog{id: id, table: coretest.NewTable[item]("items", "id"), grown: make(chan struct{})}
}

// commit changes one item. The change can be read from then on.
func (l *commitLog) commit(it item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes = append(l.changes, l.table.Put(it))
	close(l.grown)
	l.grown = make(chan struct{})
}

func (l *commitLog) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.changes)
}

// logReader is one node's source: it follows the log, as far as it is let.
type logReader struct {
	log *commitLog

	mu      sync.Mutex // guards what follows
	sink    driver.Sink
	done    int // changes that were reported
	allowed int
	moved   chan struct{} // closed when any of this changes, then replaced
}

func newLogReader(l *commitLog) *logReader { return &logReader{log: l, moved: make(chan struct{})} }

func (*logReader) Name() string     { return "log" }
func (*logReader) MarkKind() string { return "log" }

func (s *logReader) Watch(ctx context.Context, sink driver.Sink) error {
	s.mu.Lock()
	s.sink, s.done = sink, s.log.len()
	s.allowed = max(s.allowed, s.done)
	s.mu.Unlock()
	sink.Watching()
	<-ctx.Done()
	return ctx.Err()
}

// allow lets the reader report n changes more.
func (s *logReader) allow(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed += n
	s.advanceLocked()
}

func (s *logReader) advanceLocked() {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	for s.sink != nil && s.done < min(s.allowed, len(s.log.changes)) {
		s.sink.Report(s.log.changes[s.done])
		s.done++
	}
	close(s.moved)
	s.moved = make(chan struct{})
}

func (s *logReader) Mark(context.Context) ([]byte, error) {
	return binary.AppendUvarint([]byte{s.log.id}, uint64(s.log.len())), nil
}

func (s *logReader) Look(ctx context.Context) error { return s.reach(ctx, s.log.len()) }

func (s *logReader) Reach(ctx context.Context, part []byte) error {
	n, length := binary.Uvarint(part[1:])
	if part[0] != s.log.id || length != len(part)-1 || n > uint64(s.log.len()) {
		return driver.ErrForeign
	}
	return s.reach(ctx, int(n))
}

func (s *logReader) reach(ctx context.Context, position int) error {
	for {
		s.mu.Lock()
		s.advanceLocked()
		done, moved := s.done, s.moved
		s.mu.Unlock()
		if done >= position {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// marked is a node on a log.
type marked struct {
	*rig
	log    *commitLog
	reader *logReader
	items  *core.Binding[item]
}

func newMarked(t fatalTester, l *commitLog, sources ...driver.Source) *marked {
	r := newItems(t, core.Config{})
	r.table = l.table
	m := &marked{rig: r, log: l, reader: newLogReader(l), items: core.Bind("items", l.table)}
	_ = r.reg.Watch(m.reader)
	_ = r.reg.Watch(sources...)
	_ = r.reg.Add(m.items)
	if err := r.reg.Start(r.ctx); err != nil {
		t.Fatalf("Start: %v", err)
	}
	return m
}

func (m *marked) mark(t fatalTester) string {
	t.Helper()
	mark, err := m.reg.Mark(m.ctx)
	if err != nil || len(mark) == 0 || len(mark) > 256 {
		t.Fatalf("Mark: %q, %v", mark, err)
	}
	return mark
}

func (m *marked) grant(t fatalTester) *core.Grant {
	t.Helper()
	g, err := m.reg.Open(m.ctx, "items", nil)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return g
}

// TestMarkWaits: a mark is reached when what was committed before it shows, and not
// before, on the node that made it and on another.
func TestMarkWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newCommitLog(1)
		a, b := newMarked(t, l), newMarked(t, l)
		defer a.stop(t)
		defer b.stop(t)
		l.commit(item{ID: 1, Price: 1})
		l.commit(item{ID: 2, Price: 1})
		mark := a.mark(t)
		for name, node := range map[string]*marked{"its own": a, "another": b} {
			g := node.grant(t)
			if has, err := g.HasReached(mark); has || err != nil {
				t.Fatalf("%s: reached before it was asked about: %v, %v", name, has, err)
			}
			reached := make(chan error, 1)
			go func() { reached <- g.Reach(node.ctx, mark) }()
			node.reader.allow(1)
			synctest.Wait()
			select {
			case err := <-reached:
				t.Fatalf("%s: reached without the second commit: %v", name, err)
			default:
			}
			if st := node.reg.Status().Marks; st.Waiting != 1 || st.Asked != 1 {
				t.Errorf("%s: %+v", name, st)
			}
			node.reader.allow(1)
			if err := <-reached; err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := ids(node.items); len(got) != 2 {
				t.Errorf("%s shows %v", name, got)
			}
			if has, err := g.HasReached(mark); !has || err != nil {
				t.Errorf("%s: forgotten: %v, %v", name, has, err)
			}
			if err := node.reg.Reach(node.ctx, mark); err != nil || node.reg.Status().Marks.Asked != 1 {
				t.Errorf("%s: what was reached is asked about again: %v, %+v", name, err, node.reg.Status().Marks)
			}
			g.Close()
		}
	})
}

// TestMarkErrors: whoever cannot tell says so.
func TestMarkErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newCommitLog(1)
		a := newMarked(t, l)
		elsewhere := newMarked(t, newCommitLog(2))
		defer elsewhere.stop(t)
		plain := newItems(t, core.Config{})
		plain.start(t, core.Bind("items", plain.table))
		defer plain.stop(t)
		ofPlain, err := plain.reg.Mark(plain.ctx)
		if err != nil {
			t.Fatal(err)
		}
		own, foreign := a.mark(t), elsewhere.mark(t)
		for mark, want := range map[string]error{
			"": core.ErrMalformedMark, "abc": core.ErrMalformedMark, own + "A": core.ErrMalformedMark, own[1:]: core.ErrMalformedMark,
			foreign: core.ErrForeignMark, ofPlain: core.ErrForeignMark,
		} {
			if err := a.reg.Reach(a.ctx, mark); !errors.Is(err, want) {
				t.Errorf("mark %q: %v, want %v", mark, err, want)
			}
		}
		if err := plain.reg.Reach(plain.ctx, own); !errors.Is(err, core.ErrForeignMark) {
			t.Errorf("without a source that understands it: %v", err)
		}
		if err := plain.reg.Reach(plain.ctx, ofPlain); err != nil {
			t.Errorf("its own: %v", err)
		}
		if st := a.reg.Status().Marks; st.Foreign != 2 || st.Waiting != 0 {
			t.Errorf("%+v", st)
		}

		l.commit(item{ID: 1})
		late := a.mark(t)
		ctx, cancel := context.WithTimeout(a.ctx, 5*time.Second)
		defer cancel()
		begun := time.Now()
		if err := a.reg.Reach(ctx, late); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 5*time.Second {
			t.Errorf("beyond the bound: %v after %v", err, time.Since(begun))
		}
		if st := a.reg.Status().Marks; st.Unreached != 1 {
			t.Errorf("%+v", st)
		}
		waiting := make(chan error, 1)
		go func() { waiting <- a.reg.Reach(a.ctx, late) }()
		synctest.Wait()
		a.stop(t)
		if err := <-waiting; !errors.Is(err, live.ErrClosed) {
			t.Errorf("at shutdown: %v", err)
		}
		if _, err := a.reg.Mark(a.ctx); !errors.Is(err, live.ErrClosed) {
			t.Errorf("Mark after shutdown: %v", err)
		}
	})
}

// TestMarkOfTheFuture: a number that was not given yet is nobody's.
func TestMarkOfTheFuture(t *testing.T) {
	r := newItems(t, core.Config{})
	r.start(t, core.Bind("items", r.table))
	defer r.stop(t)
	made, err := r.reg.Mark(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	m, err := marks.Parse(made)
	if err != nil {
		t.Fatal(err)
	}
	m.Number++
	future, _ := m.Text()
	if err := r.reg.Reach(r.ctx, future); !errors.Is(err, core.ErrForeignMark) {
		t.Errorf("%v", err)
	}
}

// TestMarkAndTrouble: a binding in trouble has not reached a mark until it is well
// again, also when others of its table have.
func TestMarkAndTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newCommitLog(1)
		m := newMarked(t, l)
		defer m.stop(t)
		fussy := core.Bind("fussy", l.table, fragile())
		if err := m.reg.Add(fussy); err != nil {
			t.Fatal(err)
		}
		m.reader.allow(100)
		reach := func(b *core.Binding[item], mark string) error {
			ctx, cancel := context.WithTimeout(m.ctx, 2*time.Second)
			defer cancel()
			return m.reg.Reach(ctx, mark, b.View)
		}
		l.commit(item{ID: 1, Name: "good"})
		before := m.mark(t)
		if err := reach(fussy, before); err != nil {
			t.Fatal(err)
		}
		l.commit(item{ID: 2, Name: "poison"})
		mark := m.mark(t)
		if err := reach(m.items, mark); err != nil {
			t.Errorf("a binding that shows it: %v", err)
		}
		if err := reach(fussy, mark); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one that cannot: %v", err)
		}
		if err := reach(fussy, before); err != nil {
			t.Errorf("what it had reached before: %v", err)
		}
		l.commit(item{ID: 2, Name: "better"})
		if err := reach(fussy, mark); err != nil || len(ids(fussy)) != 2 {
			t.Errorf("well again: %v, %v", err, ids(fussy))
		}

		l.table.Fail(errors.New("away"))
		l.commit(item{ID: 3})
		mark = m.mark(t)
		if err := reach(m.items, mark); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while nothing can be read: %v", err)
		}
		l.table.Fail(nil)
		if err := m.reg.Reach(m.ctx, mark); err != nil || len(ids(m.items)) != 3 {
			t.Errorf("and afterwards: %v, %v", err, ids(m.items))
		}
	})
}

// TestMarkAndInterval: what is run again at an interval has reached a mark when a run
// shows that began afterwards.
func TestMarkAndInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := newTotalsRig(t, core.Config{})
		b := core.Bind("totals", l, core.Tune(core.Tuning{MinInterval: time.Minute}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r.ctx = ctx
		r.start(t, b)
		defer r.stop(t)
		r.report(t, l.sales.Put(sale{ID: 10, Item: 2, Amount: 1}))
		mark, err := r.reg.Mark(ctx)
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := r.reg.Reach(ctx, mark); err != nil {
			t.Fatal(err)
		}
		if b.Len() != 2 || l.readCount() != 2 || time.Since(begun) < time.Second {
			t.Errorf("after %v and %d reads: %d rows", time.Since(begun), l.readCount(), b.Len())
		}
	})
}

// TestMarkWaitsForSight: a source that has lost its sight and cannot be asked may have
// missed what the mark covers.
func TestMarkWaitsForSight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newItems(t, core.Config{})
		b := core.Bind("items", r.table)
		r.start(t, b)
		defer r.stop(t)
		r.source.Sink().Lost(errors.New("blind"))
		r.table.Put(item{ID: 1}) // nobody reports it
		mark, err := r.reg.Mark(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		reached := make(chan error, 1)
		go func() { reached <- r.reg.Reach(r.ctx, mark) }()
		synctest.Wait()
		select {
		case err := <-reached:
			t.Fatalf("reached while the source is blind: %v", err)
		default:
		}
		r.source.Sink().Watching()
		if err := <-reached; err != nil {
			t.Fatal(err)
		}
		if got := ids(b); len(got) != 1 {
			t.Errorf("shows %v", got)
		}
	})
}

// TestMarkWaitsForComparisons: what a look has found takes a comparison, and the mark
// waits for that.
func TestMarkWaitsForComparisons(t *testing.T) {
	l := newCommitLog(1)
	m := newMarked(t, l, looker{l.table})
	defer m.stop(t)
	m.reader.allow(100)
	for i := range 20 {
		l.table.Put(item{ID: i}) // without the log
		if err := m.reg.Reach(m.ctx, m.mark(t)); err != nil {
			t.Fatal(err)
		}
		if got := ids(m.items); len(got) != i+1 {
			t.Fatalf("shows %v", got)
		}
	}
}

// looker finds something whenever it looks.
type looker struct{ table *coretest.Table[item] }

var lookers sync.Map // looker's sinks, by their table

func (looker) Name() string { return "looker" }

func (l looker) Watch(ctx context.Context, sink driver.Sink) error {
	lookers.Store(l.table, sink)
	sink.Watching()
	<-ctx.Done()
	return ctx.Err()
}

func (l looker) Look(context.Context) error {
	sink, ok := lookers.Load(l.table)
	if !ok {
		return errors.New("not yet")
	}
	sink.(driver.Sink).Report(driver.Change{Table: l.table.Name(), Compare: true})
	return nil
}

// TestNeverAWrongYes: whatever is committed, by whomever, and however late it is
// reported, a node that says that a mark is reached shows every commit that preceded
// the mark.
func TestNeverAWrongYes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newCommitLog(1)
		nodes := []*marked{newMarked(t, l), newMarked(t, l)}
		var asking sync.WaitGroup
		ctx, cancel := context.WithCancel(nodes[0].ctx)
		defer func() {
			for _, n := range nodes {
				n.reader.allow(1 << 20)
			}
			asking.Wait()
			cancel()
			for _, n := range nodes {
				n.stop(t)
			}
		}()
		type taken struct {
			text   string
			prices map[driver.Key]item // as they were at least
		}
		var made []taken
		price := 0
		commit := func(t *rapid.T) {
			price++
			l.commit(item{ID: rapid.IntRange(1, 4).Draw(t, "id"), Price: price})
		}
		commit(t)
		t.Repeat(map[string]func(*rapid.T){
			"commit": commit,
			"report": func(t *rapid.T) {
				nodes[rapid.IntRange(0, 1).Draw(t, "node")].reader.allow(rapid.IntRange(1, 3).Draw(t, "changes"))
			},
			"mark": func(t *rapid.T) {
				m := taken{prices: l.table.Rows()}
				m.text = nodes[rapid.IntRange(0, 1).Draw(t, "node")].mark(t)
				made = append(made, m)
			},
			"ask": func(t *rapid.T) {
				if len(made) == 0 {
					t.Skip("no mark yet")
				}
				m := made[rapid.IntRange(0, len(made)-1).Draw(t, "mark")]
				n := nodes[rapid.IntRange(0, 1).Draw(t, "node")]
				asking.Go(func() {
					if err := n.reg.Reach(ctx, m.text); err != nil {
						t.Errorf("%v", err)
						return
					}
					shown := map[driver.Key]item{}
					for it := range n.items.All() {
						shown[l.table.KeyOf(it)] = it
					}
					for k, it := range m.prices {
						if shown[k].Price < it.Price {
							t.Errorf("the mark is said to be reached, but row %s is %+v, and was %+v before it", k, shown[k], it)
						}
					}
				})
			},
		})
	})
}

// BenchmarkHasReached is what a mark costs that is known to be reached.
func BenchmarkHasReached(b *testing.B) {
	m := newMarked(b, newCommitLog(1))
	defer m.stop(b)
	m.reader.allow(1)
	m.log.commit(item{ID: 1})
	mark := m.mark(b)
	if err := m.reg.Reach(m.ctx, mark); err != nil {
		b.Fatal(err)
	}
	g := m.grant(b)
	defer g.Close()
	for b.Loop() {
		if has, err := g.HasReached(mark); !has || err != nil {
			b.Fatal(has, err)
		}
	}
}

// TestMarkAndRestoredRows: rows of an earlier run show nothing of what the database
// holds, so no mark is reached before it has been read.
func TestMarkAndRestoredRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newCommitLog(1)
		l.table.Put(item{ID: 1})
		before := newMarked(t, l)
		saved, _, err := before.reg.Saved(before.items.View)
		if err != nil {
			t.Fatal(err)
		}
		l.commit(item{ID: 2})
		mark := before.mark(t)
		before.stop(t)

		l.table.Fail(errors.New("away"))
		r := newItems(t, core.Config{})
		b := core.Bind("items", l.table)
		reader := newLogReader(l)
		if err := errors.Join(r.reg.Add(b), r.reg.Watch(reader), r.reg.Use(&restorer{saved: map[string]live.Saved{"items": saved}}), r.reg.Start(r.ctx)); err != nil {
			t.Fatal(err)
		}
		defer r.stop(t)
		if got := ids(b); len(got) != 1 {
			t.Fatalf("restored: %v", got)
		}
		ctx, cancel := context.WithTimeout(r.ctx, 2*time.Second)
		defer cancel()
		if err := r.reg.Reach(ctx, mark); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while the database is away: %v", err)
		}
		l.table.Fail(nil)
		if err := r.reg.Reach(r.ctx, mark); err != nil || len(ids(b)) != 2 {
			t.Errorf("%v, %v", err, ids(b))
		}
	})
}
