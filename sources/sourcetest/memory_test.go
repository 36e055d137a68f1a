package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// fault is what a memory source does wrong.
type fault uint32

const (
	silentDelete   fault = 1 << iota
	silentRollback       // of the announcement: it stays open
	silentBulk
	silentOldKey
	silentOutside
	silentStartUp // says Watching, and reports only a little later
	silentBound   // asks for the tables once
	silentKeyless // of tables without a key
	early         // reports before the change is visible
	neverConfirms
	neverAnnounces
	announcesLate
	neverWatching
	leaks      // a goroutine stays
	deaf       // ignores its context
	hangs      // Watch blocks before it watches
	waits      // waits for receipts without bound
	talksOn    // reports after Watch has returned
	onlyOnce   // cannot be called again
	wholeOnly  // reports no keys
	keepsKeys  // hands over the same slice of keys each time
	neverLost  // does not say that its link is broken
	neverHeals // does not say Watching anew
	nameless
	coversNothing
	panics
)

// memory is a table in memory, and a source that watches it: correct but for
// its faults.
type memory struct {
	faults fault
	can    Abilities
	schema driver.Schema

	writing sync.Mutex // held by the one transaction under way
	mu      sync.Mutex // guards what follows
	rows    map[int]int
	sink    driver.Sink
	tables  []driver.Schema
	talking driver.Sink // talksOn
	broken  chan struct{}
	calls   int
	shared  []driver.Key

	atLast chan struct{} // closed by letGo
}

func newMemory(faults fault, can Abilities) *memory {
	m := &memory{faults: faults, can: can, rows: map[int]int{}, broken: make(chan struct{}), atLast: make(chan struct{})}
	m.schema = driver.Schema{Table: driver.Table{Name: "memory"}, Key: []string{"id"}, Columns: []driver.Column{{Name: "id", Kind: value.KindInt}}}
	for i := range InitialRows {
		m.rows[i+1] = 0
	}
	return m
}

var everything = Abilities{Within: 5 * time.Second, Keys: true, KeyChanges: true, Bulk: true, OtherProcesses: true, WholeTransactions: true}

// letGo ends what the source has left behind. It comes after the suite's judgement: as
// far as the suite can tell, leaks and hangs are for ever.
func (m *memory) letGo() { close(m.atLast) }

func (m *memory) has(f fault) bool { return m.faults&f != 0 }

func (m *memory) Source() driver.Source    { return m }
func (m *memory) Schemas() []driver.Schema { return []driver.Schema{m.schema} }
func (m *memory) Abilities() Abilities     { return m.can }
func (m *memory) Close() error             { return nil }

func (m *memory) Read(context.Context) (Rows, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rows := map[driver.Key]string{}
	for id, v := range m.rows {
		rows[driver.KeyOf(id)] = fmt.Sprint(v)
	}
	return Rows{m.schema.Table: rows}, nil
}

func (m *memory) Name() string {
	if m.has(nameless) {
		return ""
	}
	return "memory"
}

func (m *memory) Scope() driver.Scope {
	if m.has(coversNothing) {
		return driver.Scope{Database: "nowhere"}
	}
	return driver.Scope{Tables: []driver.Table{m.schema.Table}}
}

// Watch implements core.Source.
func (m *memory) Watch(ctx context.Context, sink driver.Sink) error {
	m.mu.Lock()
	m.calls++
	calls := m.calls
	broken := m.broken
	m.mu.Unlock()
	switch {
	case m.has(panics):
		panic("no watching today")
	case m.has(hangs):
		<-m.atLast
	case m.has(onlyOnce) && calls > 1:
		<-ctx.Done()
		return ctx.Err()
	case m.has(leaks):
		go func() { <-m.atLast }()
	}
	select {
	case <-broken:
		return errors.New("no link")
	default:
	}
	tables, _ := sink.Tables()
	attach := func(s driver.Sink) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.sink, m.tables = s, tables
	}
	if m.has(silentStartUp) {
		sink.Watching()
		time.Sleep(m.can.Within / 50) // that is the fault: nothing is seen meanwhile
	}
	attach(sink)
	if !m.has(neverWatching | silentStartUp) {
		sink.Watching()
	}
	if m.has(talksOn) {
		defer func() { m.mu.Lock(); m.talking = sink; m.mu.Unlock() }()
	}
	defer attach(nil)
	if m.has(deaf) {
		time.Sleep(m.can.Within + m.can.Within/2)
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-broken:
			if !m.has(neverLost) {
				if m.has(neverHeals) {
					attach(nil)
					sink.Lost(errors.New("the link is broken"))
					<-ctx.Done()
				}
				return errors.New("the link is broken")
			}
			broken = nil
			attach(nil)
		}
	}
}

func (m *memory) Break(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.broken)
	m.sink = nil
	return nil
}

func (m *memory) Restore(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = make(chan struct{})
	return nil
}

type memoryTx struct {
	m      *memory
	rows   map[int]int
	keys   []driver.Key
	silent bool
}

func (m *memory) Begin(context.Context) (Tx, error) { return m.begin(), nil }

func (m *memory) begin() *memoryTx {
	m.writing.Lock()
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memoryTx{m: m, rows: maps.Clone(m.rows)}
}

func (t *memoryTx) Write(_ context.Context, writes ...Write) error {
	for _, w := range writes {
		key := driver.KeyOf(w.ID)
		switch w.Kind {
		case Insert, Update:
			t.rows[w.ID] = w.Value
		case Delete:
			delete(t.rows, w.ID)
			if t.m.has(silentDelete) {
				continue
			}
		case Rekey:
			t.rows[w.To] = t.rows[w.ID]
			delete(t.rows, w.ID)
			t.keys = append(t.keys, driver.KeyOf(w.To))
			if t.m.has(silentOldKey) {
				continue
			}
		}
		t.keys = append(t.keys, key)
	}
	return nil
}

func (t *memoryTx) Rollback() error {
	defer t.m.writing.Unlock()
	if sink := t.m.listening(); sink != nil && t.m.has(silentRollback) {
		sink.Announce(t.change())
	}
	return nil
}

func (t *memoryTx) change() driver.Change {
	m := t.m
	c := driver.Change{Table: m.schema.Table, Keys: append([]driver.Key{}, t.keys...)}
	if m.has(wholeOnly) {
		c.Keys = nil
	}
	if m.has(keepsKeys) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.shared = append(m.shared[:0], t.keys...)
		c.Keys = m.shared
	}
	return c
}

// listening returns the sink, nil when nobody watches, or has bound the table.
func (m *memory) listening() driver.Sink {
	m.mu.Lock()
	defer m.mu.Unlock()
	sink := m.sink
	if sink == nil && m.has(talksOn) {
		sink = m.talking
	}
	if sink != nil && m.has(silentBound) && len(m.tables) == 0 {
		return nil
	}
	if sink != nil && m.has(silentKeyless) && slices.ContainsFunc(m.tables, func(s driver.Schema) bool { return len(s.Key) == 0 }) {
		return nil
	}
	return sink
}

func (t *memoryTx) Commit() error {
	m := t.m
	unlock := sync.OnceFunc(m.writing.Unlock)
	defer unlock()
	show := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.rows = t.rows
	}
	sink := m.listening()
	if sink == nil {
		show()
		sink = m.listening() // it may have begun meanwhile
	}
	if sink == nil || t.silent || len(t.keys) == 0 {
		show()
		return nil
	}
	change := t.change()
	if m.has(early) {
		sink.Report(change)
		show()
		return nil
	}
	var ann driver.Announcement
	if len(t.keys) > 1 && !m.has(neverAnnounces|announcesLate) {
		ann = sink.Announce(t.change())
	}
	show()
	if m.has(announcesLate) {
		ann = sink.Announce(t.change())
	}
	var r driver.Receipt
	switch {
	case m.has(neverConfirms):
		return nil
	case ann == nil:
		r = sink.Report(change)
	default:
		r = ann.Confirm(change)
	}
	unlock()
	if m.has(waits) {
		return r.Wait(context.Background())
	}
	return nil
}

func (m *memory) Write(ctx context.Context, writes ...Write) error {
	tx := m.begin()
	if err := tx.Write(ctx, writes...); err != nil {
		return err
	}
	return tx.Commit()
}

func (m *memory) Bulk(ctx context.Context, delta int) error {
	tx := m.begin()
	for id, v := range maps.Clone(tx.rows) {
		if err := tx.Write(ctx, Write{Kind: Update, ID: id, Value: v + delta}); err != nil {
			return err
		}
	}
	tx.silent = m.has(silentBulk)
	return tx.Commit()
}

func (m *memory) WriteOutside(ctx context.Context, writes ...Write) error {
	tx := m.begin()
	if err := tx.Write(ctx, writes...); err != nil {
		return err
	}
	tx.silent = m.has(silentOutside)
	return tx.Commit()
}
