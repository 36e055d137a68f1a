package ndjson

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core"
)

// Transport serves bindings as newline-delimited JSON. It is made by [New] and
// given to [core.Registry.Serve].
type Transport struct {
	mux    *http.ServeMux
	prefix string
	cfg    Config
	reg    *core.Registry // from Mount on

	ending context.Context // done: streams end after the batch under way
	end    context.CancelFunc
	late   context.Context // done: writes fail
	cut    context.CancelFunc

	mu      sync.Mutex // guards what follows
	streams int
	closed  bool
	idle    chan struct{} // closed when closed is set and no stream is open
}

var (
	_ core.Transport     = (*Transport)(nil)
	_ core.MonitorLinker = (*Transport)(nil)
)

// New returns a transport whose streams appear at prefix/{binding}; the prefix
// begins with a slash and does not end with one. Only the first configuration counts. What is wrong with the
// configuration is reported by [core.Registry.Start].
func New(mux *http.ServeMux, prefix string, cfg ...Config) *Transport {
	t := &Transport{mux: mux, prefix: prefix, idle: make(chan struct{})}
	if len(cfg) > 0 {
		t.cfg = cfg[0]
	}
	t.cfg = t.cfg.WithDefaults()
	t.ending, t.end = context.WithCancel(context.Background())
	t.late, t.cut = context.WithCancel(context.Background())
	return t
}

// Name returns "ndjson".
func (*Transport) Name() string { return "ndjson" }

// Mount installs the route, see [core.Transport].
func (t *Transport) Mount(reg *core.Registry) error {
	if t.mux == nil {
		return errors.New("ndjson: the mux is nil")
	}
	if err := t.cfg.Validate(); err != nil {
		return fmt.Errorf("ndjson: %w", err)
	}
	t.reg = reg
	t.mux.HandleFunc("GET "+t.prefix+"/{binding}", t.serve)
	return nil
}

// MonitorURL returns the path of the binding's stream; REST answers link to it.
func (t *Transport) MonitorURL(binding string) string {
	return t.prefix + "/" + url.PathEscape(binding)
}

// Stop tells the streams to end, and refuses new ones. It does not wait. It is
// made for [http.Server.RegisterOnShutdown], since the server's Shutdown waits
// for open streams without telling them.
func (t *Transport) Stop() { t.end() }

// Shutdown ends the streams and waits for them. It returns the context's error
// when that ends first.
func (t *Transport) Shutdown(ctx context.Context) error {
	t.end()
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		if t.streams == 0 {
			close(t.idle)
		}
	}
	t.mu.Unlock()
	drain := time.NewTimer(t.cfg.DrainTimeout)
	defer drain.Stop()
	select {
	case <-t.idle:
	case <-drain.C:
	case <-ctx.Done():
	}
	t.cut() // whoever is left does not read
	select {
	case <-t.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("ndjson: waiting for streams to end: %w", ctx.Err())
	}
}

// admit counts a stream, unless there are too many or the end has come.
func (t *Transport) admit() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.ending.Err() != nil || t.reg.Stopping().Err() != nil || t.streams >= t.cfg.MaxStreams {
		return false
	}
	t.streams++
	return true
}

func (t *Transport) dismiss() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.streams--
	if t.closed && t.streams == 0 {
		close(t.idle)
	}
}
