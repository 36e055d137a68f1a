package sourcetest_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/sourcetest"
)

// TestCoretest holds the fake source of package coretest, which reports what it
// is told to, to the rules.
func TestCoretest(t *testing.T) {
	sourcetest.Run(t, func() (sourcetest.Harness, error) {
		h := &told{table: coretest.NewTable[row]("rows", "id")}
		for i := range sourcetest.InitialRows {
			h.table.Put(row{ID: i + 1})
		}
		return h, nil
	})
}

type row struct {
	ID int `json:"id"`
	V  int `json:"v"`
}

// toldSource is the fake, which keeps its sink, with a note of when the sink is
// of use.
type toldSource struct {
	coretest.Source
	watching atomic.Bool
}

func (s *toldSource) Watch(ctx context.Context, sink driver.Sink) error {
	defer s.watching.Store(false)
	s.watching.Store(true)
	return s.Source.Watch(ctx, sink)
}

// listening returns the sink while the source watches.
func (s *toldSource) listening() driver.Sink {
	if !s.watching.Load() {
		return nil
	}
	return s.Sink()
}

// told tells the source what was written.
type told struct {
	source toldSource
	table  *coretest.Table[row]
	one    sync.Mutex // writes are made one after the other
}

func (h *told) Source() driver.Source { return &h.source }
func (h *told) Close() error          { return nil }

func (h *told) Schemas() []driver.Schema {
	s, _ := h.table.Schema() // NewTable has checked it
	return []driver.Schema{s}
}

func (h *told) Abilities() sourcetest.Abilities {
	return sourcetest.Abilities{Keys: true, KeyChanges: true, WholeTransactions: true}
}

func (h *told) Read(context.Context) (sourcetest.Rows, error) {
	rows := map[driver.Key]string{}
	for k, r := range h.table.Rows() {
		rows[k] = fmt.Sprint(r.V)
	}
	return sourcetest.Rows{h.table.Name(): rows}, nil
}

func (h *told) Write(_ context.Context, writes ...sourcetest.Write) error {
	h.one.Lock()
	defer h.one.Unlock()
	change := driver.Change{Table: h.table.Name()}
	for _, w := range writes {
		change.Keys = append(change.Keys, driver.KeyOf(w.ID))
		if w.Kind == sourcetest.Rekey {
			change.Keys = append(change.Keys, driver.KeyOf(w.To))
		}
	}
	var ann driver.Announcement
	if sink := h.source.listening(); sink != nil {
		ann = sink.Announce(driver.Change{Table: change.Table, Keys: slices.Clone(change.Keys)})
	}
	h.table.Edit(func(rows map[driver.Key]row) {
		for _, w := range writes {
			switch w.Kind {
			case sourcetest.Insert, sourcetest.Update:
				rows[driver.KeyOf(w.ID)] = row{ID: w.ID, V: w.Value}
			case sourcetest.Rekey:
				rows[driver.KeyOf(w.To)] = row{ID: w.To, V: rows[driver.KeyOf(w.ID)].V}
				delete(rows, driver.KeyOf(w.ID))
			case sourcetest.Delete:
				delete(rows, driver.KeyOf(w.ID))
			}
		}
	})
	if ann != nil {
		ann.Confirm()
	} else if sink := h.source.listening(); sink != nil {
		sink.Report(change) // it began to watch meanwhile
	}
	return nil
}
