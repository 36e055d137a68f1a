package coretest

import (
	"context"
	"slices"
	"sync"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

// Journal records calls in order. The zero value is ready to use; several fakes may share
// one.
type Journal struct {
	mu    sync.Mutex
	calls []string
}

// Calls returns the calls recorded so far.
func (j *Journal) Calls() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.calls)
}

func (j *Journal) note(call string) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.calls = append(j.calls, call)
}

// Transport is a transport without clients that fails on demand.
type Transport struct {
	// ID is its name; "" is "coretest".
	ID string
	// MountErr and ShutdownErr are the errors that Mount and Shutdown return.
	MountErr, ShutdownErr error
	// Journal, when set, records "mount ID" and "shutdown ID".
	Journal *Journal

	mu  sync.Mutex
	reg *core.Registry
}

var _ core.Transport = (*Transport)(nil)

// Name implements [core.Transport].
func (t *Transport) Name() string { return named(t.ID) }

// Mount implements [core.Transport].
func (t *Transport) Mount(reg *core.Registry) error {
	t.Journal.note("mount " + t.Name())
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reg = reg
	return t.MountErr
}

// Shutdown implements [core.Transport].
func (t *Transport) Shutdown(context.Context) error {
	t.Journal.note("shutdown " + t.Name())
	return t.ShutdownErr
}

// Registry returns the registry that the transport was mounted on, or nil.
func (t *Transport) Registry() *core.Registry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reg
}

// Plugin is a plugin that records its calls and fails on demand.
type Plugin struct {
	// ID is its name; "" is "coretest".
	ID string
	// StartErr and ShutdownErr are the errors that Start and Shutdown return.
	StartErr, ShutdownErr error
	// Journal, when set, records "start ID" and "shutdown ID".
	Journal *Journal
	// OnPublish, when set, is called for every new version, on the publishing goroutine.
	OnPublish func(*live.View, *live.Event)
}

var (
	_ core.Plugin          = (*Plugin)(nil)
	_ core.PublishObserver = (*Plugin)(nil)
)

// Name implements [core.Plugin].
func (p *Plugin) Name() string { return named(p.ID) }

// Start implements [core.Plugin].
func (p *Plugin) Start(context.Context, *core.Registry) error {
	p.Journal.note("start " + p.Name())
	return p.StartErr
}

// Shutdown implements [core.Plugin].
func (p *Plugin) Shutdown(context.Context) error {
	p.Journal.note("shutdown " + p.Name())
	return p.ShutdownErr
}

// Published implements [core.PublishObserver].
func (p *Plugin) Published(v *live.View, e *live.Event) {
	if p.OnPublish != nil {
		p.OnPublish(v, e)
	}
}

func named(id string) string {
	if id == "" {
		return "coretest"
	}
	return id
}
