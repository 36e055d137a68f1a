// Package auditlog is a plugin that writes down who has written what, and what became
// of it. It shows what plugins are made of; docs/writing-a-plugin.md goes through it.
package auditlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// region user
type userKey struct{}

// WithUser returns a context that says who acts in it. The application's middleware
// calls it, and whatever it writes by itself.
func WithUser(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, userKey{}, name)
}

// userOf returns who acts, "" when nobody knows: the write was another process's, or
// the source does not tell.
func userOf(ctx context.Context) string {
	if ctx == nil {
		return ""
	}
	name, _ := ctx.Value(userKey{}).(string)
	return name
}

// endregion

// Entry is one line of the log.
type Entry struct {
	Time time.Time `json:"time"`
	// Kind is "write", a commit that a source has reported, or "version", what a
	// binding shows since.
	Kind string `json:"kind"`
	// By is who has written; several where one version shows the writes of several,
	// "?" for those of whom nobody knows.
	By []string `json:"by"`

	// Of a write: the source that reported it, the table, and the rows, none where the
	// whole table may have changed.
	Source string   `json:"source,omitempty"`
	Table  string   `json:"table,omitempty"`
	Keys   []string `json:"keys,omitempty"`

	// Of a version: the binding, its token, and the rows.
	Binding string            `json:"binding,omitempty"`
	Version string            `json:"version,omitempty"`
	Created []json.RawMessage `json:"created,omitempty"`
	Updated []json.RawMessage `json:"updated,omitempty"`
	Deleted []string          `json:"deleted,omitempty"`
}

// maxQueued bounds the entries that wait to be written.
const maxQueued = 4096

// Log is the plugin. It is made by [New] and given to [core.Registry.Use].
type Log struct {
	out   io.Writer
	queue chan Entry
	lost  atomic.Uint64
	quit  chan struct{} // closed by Shutdown
	done  chan struct{} // closed when the writer has ended

	logger *slog.Logger // from Start on
}

var (
	_ core.Plugin          = (*Log)(nil)
	_ core.ReportObserver  = (*Log)(nil)
	_ core.BatchObserver   = (*Log)(nil)
	_ core.PublishObserver = (*Log)(nil)
)

// New returns a log that writes lines of JSON. It starts nothing.
func New(out io.Writer) *Log {
	return &Log{out: out, queue: make(chan Entry, maxQueued), quit: make(chan struct{}), done: make(chan struct{})}
}

// Name implements [core.Plugin].
func (*Log) Name() string { return "auditlog" }

// region lifecycle
// Start implements [core.Plugin].
func (l *Log) Start(_ context.Context, reg *core.Registry) error {
	if l.out == nil {
		return errors.New("auditlog: there is nothing to write to")
	}
	l.logger = reg.Logger()
	go l.write()
	return nil
}

// Shutdown implements [core.Plugin]: what has been queued is written first. Transports
// and sources have stopped, so nothing comes any more.
func (l *Log) Shutdown(ctx context.Context) error {
	close(l.quit)
	select {
	case <-l.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if n := l.lost.Load(); n > 0 {
		return fmt.Errorf("auditlog: %d entries were lost, since writing them was too slow", n)
	}
	return nil
}

// endregion

// write writes what is queued.
func (l *Log) write() {
	defer close(l.done)
	enc := json.NewEncoder(l.out)
	put := func(e Entry) {
		if err := enc.Encode(e); err != nil {
			l.lost.Add(1)
			l.logger.Error("auditlog: an entry was not written", slog.Any("error", err))
		}
	}
	for {
		select {
		case e := <-l.queue:
			put(e)
		case <-l.quit:
			for {
				select {
				case e := <-l.queue:
					put(e)
				default:
					return
				}
			}
		}
	}
}

// region add
// add queues an entry. The engine calls observers while writers wait, so nothing here
// may block: what does not fit is lost, and counted.
func (l *Log) add(e Entry) {
	e.Time = time.Now()
	select {
	case l.queue <- e:
	default:
		l.lost.Add(1)
	}
}

// endregion

// region reported
// Reported implements [core.ReportObserver].
func (l *Log) Reported(by driver.Source, changes []driver.Change) {
	for _, c := range changes {
		if c.Compare {
			continue // somebody looks whether anything has changed
		}
		e := Entry{Kind: "write", By: names([]context.Context{c.Writer}, 0), Source: by.Name(), Table: c.Table.String()}
		for _, k := range c.Keys {
			e.Keys = append(e.Keys, k.String())
		}
		l.add(e)
	}
}

// endregion

// region batch
type batchKey struct{}

// BatchBegan implements [core.BatchObserver]: it notes whose writes are about to be
// read. The events of the batch have this context, see [live.Event.Context].
func (l *Log) BatchBegan(ctx context.Context, b core.Batch) context.Context {
	return context.WithValue(ctx, batchKey{}, names(b.Writers, b.MoreWriters))
}

// BatchEnded implements [core.BatchObserver].
func (*Log) BatchEnded(context.Context, core.BatchResult) {}

// Published implements [core.PublishObserver].
func (l *Log) Published(v *live.View, e *live.Event) {
	if e.Kind != live.Changed {
		return // the first load, or a confirmation: nobody has changed anything
	}
	entry := Entry{Kind: "version", By: []string{"?"}, Binding: v.ID(), Version: e.Version.Token}
	if ctx := e.Context(); ctx != nil {
		entry.By, _ = ctx.Value(batchKey{}).([]string)
	}
	for _, r := range e.Created {
		entry.Created = append(entry.Created, r.JSON())
	}
	for _, r := range e.Updated {
		entry.Updated = append(entry.Updated, r.JSON())
	}
	for _, r := range e.Deleted {
		entry.Deleted = append(entry.Deleted, r.Key().String())
	}
	l.add(entry)
}

// endregion

// names returns who acts in the contexts, each once, in order. Of more others nothing
// is known.
func names(writers []context.Context, more int) []string {
	var out []string
	seen := make(map[string]bool)
	note := func(name string) {
		if name == "" {
			name = "?"
		}
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	for _, ctx := range writers {
		note(userOf(ctx))
	}
	if more > 0 || len(writers) == 0 {
		note("")
	}
	return out
}
