package together_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource"
)

// counter is a row that only grows, so that a version of it tells which writes it
// includes.
type counter struct {
	bun.BaseModel `bun:"table:counters"`

	ID    int64 `bun:",pk" json:"id"`
	Value int64 `bun:",notnull" json:"value"`
}

const counters = 5

func createCounters(t testing.TB, plain *bun.DB) {
	t.Helper()
	_, err := plain.NewCreateTable().Model((*counter)(nil)).Exec(t.Context())
	must(t, err)
	var rows []counter
	for id := range int64(counters) {
		rows = append(rows, counter{ID: id})
	}
	_, err = plain.NewInsert().Model(&rows).Exec(t.Context())
	must(t, err)
}

// markNode is one node that shows the counters.
type markNode struct {
	db       *bun.DB
	reg      *core.Registry
	counters *core.Binding[counter]
}

// openMarkNode starts a node on db. It ends with the test.
func openMarkNode(t testing.TB, db *bun.DB, plugins []core.Plugin, sources ...driver.Source) *markNode {
	t.Helper()
	n := &markNode{db: db, counters: bunsource.Bind[counter](db, "counters", core.Writable())}
	n.reg = core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry()
	must(t, errors.Join(n.reg.Add(n.counters), n.reg.Watch(sources...), n.reg.Use(plugins...), n.reg.Start(t.Context())))
	t.Cleanup(func() { shutdown(t, n.reg) })
	eventually(t, "the sources watch", func() error {
		for _, s := range n.reg.Status().Sources {
			if !s.Watching {
				return errors.Join(errors.New("source "+s.Name+" does not watch"), s.Err)
			}
		}
		return nil
	})
	return n
}

// markModel is what has been committed at least.
type markModel struct {
	writers []*bun.DB

	writing [counters]sync.Mutex // of the row

	mu        sync.Mutex // guards what follows
	committed map[int64]int64
}

// write makes a counter grow, through one of the writers.
func (m *markModel) write(ctx context.Context, writer int, id int64) error {
	m.writing[id].Lock()
	defer m.writing[id].Unlock()
	m.mu.Lock()
	next := m.committed[id] + 1
	m.mu.Unlock()
	_, err := m.writers[writer].NewUpdate().Model(&counter{ID: id, Value: next}).WherePK().Exec(ctx)
	if err == nil {
		m.mu.Lock()
		m.committed[id] = next
		m.mu.Unlock()
	}
	return err
}

func (m *markModel) state() map[int64]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.committed)
}

// check compares what the node shows, once it says that it has reached the mark, with
// what had been committed before.
func (n *markNode) check(ctx context.Context, mark string, before map[int64]int64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := n.reg.Reach(ctx, mark, n.counters.View); err != nil {
		return err
	}
	shown := map[int64]int64{}
	for c := range n.counters.All() {
		shown[c.ID] = c.Value
	}
	for id, value := range before {
		if shown[id] < value {
			return fmt.Errorf("the mark is said to be reached, but counter %d is %d, and was %d before it was made", id, shown[id], value)
		}
	}
	return nil
}

// mark makes a mark with the parts of all sources. A mark waits half a second for these and
// goes without those that are late, as they may be on a busy machine; then other nodes do
// not understand it.
func (n *markNode) mark(t testing.TB) string {
	t.Helper()
	for {
		before := n.reg.Status().Marks.Omitted
		mark, err := n.reg.Mark(t.Context())
		must(t, err)
		if n.reg.Status().Marks.Omitted == before {
			return mark
		}
	}
}

// neverAWrongYes writes through all writers at once, has marks made by nodes and asks
// nodes about them, and holds every answer to what was committed before.
func neverAWrongYes(t *testing.T, writers []*bun.DB, nodes ...*markNode) {
	m := &markModel{writers: writers, committed: map[int64]int64{}}
	type step struct {
		Write             bool
		Who, ID, On, From int
	}
	steps := rapid.Custom(func(t *rapid.T) step {
		return step{
			Write: rapid.Bool().Draw(t, "write"),
			Who:   rapid.IntRange(0, len(writers)-1).Draw(t, "writer"),
			ID:    rapid.IntRange(0, counters-1).Draw(t, "id"),
			On:    rapid.IntRange(0, len(nodes)-1).Draw(t, "made on"),
			From:  rapid.IntRange(0, len(nodes)-1).Draw(t, "asked on"),
		}
	})
	tried, failed := 0, false
	var understood, lacking atomic.Int64 // answers
	rapid.Check(t, func(rt *rapid.T) {
		if tried++; tried > markTries && !failed {
			return // databases take their time; a failure is made smaller all the same
		}
		hands := rapid.SliceOfN(rapid.SliceOfN(steps, 1, 4), 1, 3).Draw(rt, "hands")
		var working sync.WaitGroup
		var mu sync.Mutex
		var errs []error
		for _, hand := range hands {
			working.Go(func() {
				for _, s := range hand {
					var err error
					if s.Write {
						err = m.write(t.Context(), s.Who, int64(s.ID))
					}
					before, omitted := m.state(), nodes[s.On].reg.Status().Marks.Omitted
					mark, markErr := nodes[s.On].reg.Mark(t.Context())
					if err = errors.Join(err, markErr); err == nil {
						err = nodes[s.From].check(t.Context(), mark, before)
						if err == nil {
							understood.Add(1)
						} else if errors.Is(err, core.ErrForeignMark) && nodes[s.On].reg.Status().Marks.Omitted != omitted {
							err = nil // the mark may lack the part that is understood here
							lacking.Add(1)
						}
					}
					if err != nil {
						mu.Lock()
						errs = append(errs, fmt.Errorf("%+v: %w", s, err))
						mu.Unlock()
						return
					}
				}
			})
		}
		working.Wait()
		if err := errors.Join(errs...); err != nil {
			failed = true
			rt.Fatal(err)
		}
	})
	t.Logf("%d marks were understood, %d may have lacked a part", understood.Load(), lacking.Load())
	if understood.Load() == 0 {
		t.Error("no mark was understood")
	}
}

// markTries is how many of rapid's checks are made.
const markTries = 25

// writeReadLatency measures, for a write on one node, how long it is until another
// node answers a read that bears the write's mark.
func writeReadLatency(b *testing.B, a, other *markNode) {
	model := &markModel{writers: []*bun.DB{a.db}, committed: map[int64]int64{}}
	var took []time.Duration
	for n := 0; b.Loop(); n++ {
		if err := model.write(b.Context(), 0, int64(n%counters)); err != nil {
			b.Fatal(err)
		}
		before := model.state()
		begun := time.Now()
		mark, err := a.reg.Mark(b.Context())
		if err == nil {
			err = other.check(b.Context(), mark, before)
		}
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begun))
	}
	percentiles(b, took)
}
