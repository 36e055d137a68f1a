package fanout

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/binderyhq/bindery/core/driver"
)

// Hub holds the sinks that watch one database. Make it with [NewHub]; all
// methods may be called concurrently.
type Hub struct {
	sinks atomic.Pointer[[]*Attachment] // never modified, only replaced
	bound atomic.Pointer[Tables]

	mu       sync.Mutex // guards what follows, and replacing the pointers above
	database string
	nameSeen bool // UseDatabase has returned the name, so it is fixed
	changes  int  // counts events that outdate the bound tables
}

// NewHub returns a hub for the database with that name, as [driver.Table] spells
// it.
func NewHub(database string) *Hub {
	h := &Hub{database: database}
	h.sinks.Store(new([]*Attachment))
	return h
}

// Attachment is one sink, while its source watches.
type Attachment struct {
	Sink driver.Sink
	// Async says that writers do not wait for this sink.
	Async bool
	// Wait waits for a receipt of the sink as the source is configured; nil with Async.
	Wait func(context.Context, driver.Receipt)

	late late
}

// NewAttachment returns an attachment for [Hub.Attach].
func NewAttachment(sink driver.Sink) *Attachment {
	return &Attachment{Sink: sink, late: late{wake: make(chan struct{}, 1)}}
}

// Attach adds a sink. It gets every commit that ends from now on.
func (h *Hub) Attach(a *Attachment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	sinks := append(slices.Clip(*h.sinks.Load()), a)
	h.sinks.Store(&sinks)
	h.outdated()
}

// Detach removes a sink. Open announcements stay open until they are confirmed.
func (h *Hub) Detach(a *Attachment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	sinks := slices.DeleteFunc(slices.Clone(*h.sinks.Load()), func(b *Attachment) bool { return a == b })
	h.sinks.Store(&sinks)
	h.outdated()
}

// Watched reports whether anybody watches.
func (h *Hub) Watched() bool { return len(*h.sinks.Load()) > 0 }

// Database returns the database's name.
func (h *Hub) Database() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.database
}

// UseDatabase returns the database's name to a caller that keeps it. From now on the
// name cannot change.
func (h *Hub) UseDatabase() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.nameSeen = true
	return h.database
}

// SetDatabase names the database. It reports false when another name is in use.
func (h *Hub) SetDatabase(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if name == h.database {
		return true
	}
	if h.nameSeen || h.database != "" {
		return false
	}
	h.database = name
	h.outdated()
	return true
}

// Forget discards the cached bound tables, because a loader has learned more about its
// columns.
func (h *Hub) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.outdated()
}

// outdated discards the cached bound tables. The caller holds mu.
func (h *Hub) outdated() {
	h.changes++
	h.bound.Store(nil)
}

// Tables returns the tables bound now.
func (h *Hub) Tables() *Tables {
	if was := h.bound.Load(); was != nil && was.fresh() {
		return was
	}
	h.mu.Lock()
	database, changes, sinks := h.database, h.changes, *h.sinks.Load()
	h.mu.Unlock()
	b := newTables(database, sinks)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.changes == changes {
		h.bound.Store(b)
	}
	return b
}

// Announced is a running commit that was announced to all sinks. It is nil for a commit
// that was not announced.
type Announced struct {
	sinks []*Attachment
	anns  []driver.Announcement
}

// Announce announces changes to all sinks. It returns nil if there are no changes or
// no sinks.
func (h *Hub) Announce(changes []driver.Change) *Announced {
	sinks := *h.sinks.Load()
	if len(changes) == 0 || len(sinks) == 0 {
		return nil
	}
	a := &Announced{sinks: sinks, anns: make([]driver.Announcement, len(sinks))}
	for i, s := range sinks {
		a.anns[i] = s.Sink.Announce(clone(changes)...)
	}
	return a
}

// AnnounceCommit is [Hub.Announce] for all changes of one commit. It does not announce
// a commit of which no reader can see a part.
func (h *Hub) AnnounceCommit(b *Tables, changes []driver.Change) *Announced {
	if b.Single(changes) {
		return nil
	}
	return h.Announce(changes)
}

// Withdraw ends the announcement: the commit did not happen.
func (a *Announced) Withdraw() {
	if a == nil {
		return
	}
	for _, ann := range a.anns {
		ann.Withdraw()
	}
}

// Awaited is a receipt that a writer should wait for, and the attachment that
// says how.
type Awaited struct {
	Receipt driver.Receipt
	*Attachment
}

// Confirm reports changes that are committed and visible, and returns the receipts that
// the writer should wait for. a is their announcement, or nil; without changes it is
// withdrawn. A sink that was attached after the announcement gets a report. writer is
// the writer's context, nil if unknown.
func (h *Hub) Confirm(writer context.Context, a *Announced, changes []driver.Change) []Awaited {
	if len(changes) == 0 {
		a.Withdraw()
		return nil
	}
	if writer != nil {
		changes, writer = clone(changes), context.WithoutCancel(writer)
		for i := range changes {
			changes[i].Writer = writer
		}
	}
	var out []Awaited
	await := func(s *Attachment, r driver.Receipt) {
		if !s.Async {
			out = append(out, Awaited{r, s})
		}
	}
	if a != nil {
		for i, ann := range a.anns {
			await(a.sinks[i], ann.Confirm(clone(changes)...))
		}
	}
	for _, s := range *h.sinks.Load() {
		if a == nil || !slices.Contains(a.sinks, s) {
			await(s, s.Sink.Report(clone(changes)...))
		}
	}
	return out
}

// ReportAll reports every table of the database.
func (h *Hub) ReportAll() []Awaited {
	return h.Confirm(context.Background(), nil, h.Tables().Everything())
}

// ReportLater has changes reported several times within a minute, because it is not
// known whether, or when, they become visible. Attachments do it while their
// [Attachment.Run] runs.
func (h *Hub) ReportLater(changes []driver.Change) {
	if len(changes) == 0 {
		return
	}
	for _, s := range *h.sinks.Load() {
		s.late.add(changes)
	}
}

// clone returns a deep copy, because each sink owns its changes.
func clone(changes []driver.Change) []driver.Change {
	out := slices.Clone(changes)
	for i := range out {
		out[i].Keys = slices.Clone(out[i].Keys) // nil stays nil
	}
	return out
}
