package transporttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

// history is a plugin that records every version of every binding, and a hash of the
// bytes that the engine handed out.
type history struct {
	mu       sync.Mutex // guards what follows
	versions map[string][]*live.Snapshot
	seed     maphash.Seed
	rows     map[live.Row]uint64 // hash of the bytes
	decoded  map[live.Row]decodedRow
}

// decodedRow is a row as followers compare it.
type decodedRow struct {
	id   int
	text string
}

var _ core.PublishObserver = (*history)(nil)

func newHistory() *history {
	return &history{versions: make(map[string][]*live.Snapshot), seed: maphash.MakeSeed(), rows: make(map[live.Row]uint64), decoded: make(map[live.Row]decodedRow)}
}

// Name implements [core.Plugin].
func (*history) Name() string { return "history" }

// Start implements [core.Plugin].
func (*history) Start(context.Context, *core.Registry) error { return nil }

// Shutdown implements [core.Plugin].
func (*history) Shutdown(context.Context) error { return nil }

// Published implements [core.PublishObserver].
func (h *history) Published(v *live.View, _ *live.Event) {
	s := v.Snapshot() // the version just published: nobody else publishes meanwhile
	h.mu.Lock()
	defer h.mu.Unlock()
	h.versions[v.Name()] = append(h.versions[v.Name()], s)
	for r := range s.Rows() {
		if _, noted := h.rows[r]; !noted {
			h.rows[r] = maphash.Bytes(h.seed, r.JSON())
		}
	}
}

// find returns the first version with the token, from the position on.
func (h *history) find(binding, token string, from int) (at int, s *live.Snapshot, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.versions[binding]
	for i := max(from, 0); i < len(list); i++ {
		if list[i].Version().Token == token {
			return i, list[i], true
		}
	}
	return 0, nil, false
}

// decode is the function decode for a row of a version, cached for all clients.
func (h *history) decode(r live.Row) (id int, text string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d, ok := h.decoded[r]
	if !ok {
		if d.id, d.text, err = decode(r.JSON()); err != nil {
			return 0, "", err
		}
		h.decoded[r] = d
	}
	return d.id, d.text, nil
}

// bodiesChecked is how many of the latest bodies of each binding are checked. Older
// ones went to the same clients, so checking them would find nothing more.
const bodiesChecked = 20

// unmodified returns an error that names the bytes that were modified.
func (h *history) unmodified() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for r, was := range h.rows {
		if maphash.Bytes(h.seed, r.JSON()) != was {
			errs = append(errs, fmt.Errorf("a row's bytes were modified, to %.200q", r.JSON()))
		}
	}
	for name, list := range h.versions {
		for _, s := range list[max(len(list)-bodiesChecked, 0):] {
			if want := append(live.AppendRows(nil, s.Rows()), '\n'); !bytes.Equal(s.Body(), want) {
				errs = append(errs, fmt.Errorf("a body of binding %q was modified: %.200q has become %.200q", name, want, s.Body()))
			}
		}
	}
	return errors.Join(errs...)
}
