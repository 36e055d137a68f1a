package transporttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

// memory is a transport without a network, and its own harness. With no fault
// set it keeps every promise.
type memory struct {
	does, declares Abilities
	faults         faults

	reg *core.Registry

	mu     sync.Mutex // guards what follows
	open   map[*memoryClient]struct{}
	closed bool
}

// faults are ways of being wrong. They are set before anything begins.
type faults struct {
	lookup        func(reg *core.Registry, name string) (*live.View, bool)
	resume        func(v *live.View, version string) string
	batch         func(n int, batch []Message) []Message // of the n-th of a connection, from 1
	page          func(rows []json.RawMessage, page, size int) []json.RawMessage
	marksAtOnce   bool // a mark is answered before it is reached
	takesAnyMark  bool // what is no mark is answered
	keepsQueue    bool // everything waits for slow clients
	blocksWriters bool // a slow client holds up who writes
	keepsVanished bool // the subscriptions of who vanished stay
	beforeLoad    bool // no rows are shown before there are rows
	silentRemoval bool // nobody is told that a binding was removed
	staysOpen     bool // connections outlive the shutdown
	hangs         bool // the shutdown waits for clients to leave
	halfAtTheEnd  bool // the shutdown ends connections wherever they are
	servesLate    bool // who comes after the shutdown is served
	scribbles     func(*live.View)
	open          func(ctx context.Context, reg *core.Registry, q Request) (*core.Grant, error) // instead of core's
	subscribe     func(g *core.Grant) *live.Subscription                                        // instead of the grant's
	tellsWhy      bool                                                                          // the errors of the authorizer are shown
	deniesNobody  bool                                                                          // who may not see it any more is told nothing
	cutsOff       error                                                                         // with what connections end
	countsAll     bool                                                                          // a page tells how many there are of all rows
}

func newMemory(can Abilities, f faults) *memory {
	return &memory{does: can, declares: can, faults: f, open: make(map[*memoryClient]struct{})}
}

// harness returns the transport as its own harness.
func (m *memory) harness() Harness {
	if m.declares.Families {
		return memoryAsker{m}
	}
	return m
}

// memoryAsker is the harness of a memory with members and principals.
type memoryAsker struct{ *memory }

func (m memoryAsker) ConnectTo(ctx context.Context, q Request) (Client, error) {
	return m.connectTo(ctx, q)
}

func (m memoryAsker) PageOf(ctx context.Context, q Request, page int) (Page, error) {
	return m.pageOf(ctx, q, page)
}

func (m *memory) Abilities() Abilities { return m.declares }

func (m *memory) Transport() core.Transport { return m }

func (m *memory) StopServer(context.Context) error { return ErrUnsupported }

func (m *memory) Name() string { return "memory" }

func (m *memory) Mount(reg *core.Registry) error {
	m.reg = reg
	return nil
}

func (m *memory) Shutdown(ctx context.Context) error {
	m.mu.Lock()
	m.closed = !m.faults.servesLate
	open := len(m.open)
	if !m.faults.staysOpen {
		for c := range m.open {
			c.sub.Close()
		}
	}
	m.mu.Unlock()
	if m.faults.hangs && open > 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (m *memory) Close() error {
	if m.reg == nil {
		return nil // the case does not apply
	}
	if v, ok := m.reg.Lookup(items); ok && m.faults.scribbles != nil {
		m.faults.scribbles(v)
	}
	return nil
}

// leave asks for leave to serve the request.
func (m *memory) leave(ctx context.Context, q Request) (*core.Grant, error) {
	ctx = WithPrincipal(ctx, q.Principal)
	var g *core.Grant
	var err error
	if lookup := m.faults.lookup; lookup != nil {
		if v, ok := lookup(m.reg, q.Binding); ok {
			q.Binding = v.Name()
		} else {
			q.Binding = "nothing"
		}
	}
	if m.faults.open != nil {
		g, err = m.faults.open(ctx, m.reg, q)
	} else {
		g, err = m.reg.Open(ctx, q.Binding, argsOf(q))
	}
	return g, m.refusal(err)
}

func (m *memory) refusal(err error) error {
	var argument *core.ArgumentError
	var denied *core.DeniedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &argument):
		return &ParameterError{argument.Param}
	case errors.As(err, &denied) && denied.Challenge != "":
		return ErrUnauthenticated
	case errors.As(err, &denied):
		return ErrForbidden
	case errors.Is(err, core.ErrUnknownBinding):
		return ErrRefused
	case m.faults.tellsWhy:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return ErrUnavailable
}

func (m *memory) Page(ctx context.Context, binding string, page int) (Page, error) {
	return m.pageOf(ctx, Request{Binding: binding}, page)
}

func (m *memory) pageOf(ctx context.Context, q Request, page int) (Page, error) {
	if !m.does.Pages {
		return Page{}, ErrUnsupported
	}
	g, err := m.leave(ctx, q)
	if err != nil {
		return Page{}, err
	}
	defer g.Close()
	v := g.View()
	<-v.Loaded()
	const size = 70
	cut := m.faults.page
	if cut == nil {
		cut = cutPage
	}
	rows := encoded(v.Snapshot())
	total := len(rows)
	if all, ok := m.reg.Lookup(q.Binding); ok && m.faults.countsAll {
		total = all.Len() + 40
	}
	return Page{Rows: cut(rows, page, size), Pages: (total + size - 1) / size}, nil
}

func cutPage(rows []json.RawMessage, page, size int) []json.RawMessage {
	from := min((page-1)*size, len(rows))
	return rows[from:min(from+size, len(rows))]
}

func encoded(s *live.Snapshot) (rows []json.RawMessage) {
	for r := range s.Rows() {
		rows = append(rows, r.JSON())
	}
	return rows
}

func (m *memory) Connect(ctx context.Context, binding, version string) (Client, error) {
	return m.connectTo(ctx, Request{Binding: binding, Version: version})
}

// lateClient is one that is served after the shutdown, from rows that somebody has
// kept: the registry gives no leave any more.
type lateClient struct{ rows []json.RawMessage }

func (c lateClient) Next(context.Context) (Message, error) {
	return Message{Action: Sync, Rows: c.rows, Version: "late"}, nil
}
func (lateClient) Close() {}

func (m *memory) connectTo(ctx context.Context, q Request) (Client, error) {
	if v, ok := m.reg.Lookup(q.Binding); ok && m.faults.servesLate && m.reg.Stopping().Err() != nil {
		return lateClient{encoded(v.Snapshot())}, nil
	}
	g, err := m.leave(ctx, q)
	if err != nil {
		return nil, err
	}
	v, version := g.View(), q.Version
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		g.Close()
		return nil, ErrUnavailable
	}
	if !m.does.Resumes && !m.does.Deltas {
		version = ""
	}
	if m.faults.resume != nil {
		version = m.faults.resume(v, version)
	}
	c := &memoryClient{m: m, request: q, grant: g, view: v, version: version, gone: make(chan struct{})}
	opts := live.SubscribeOptions{Version: version}
	if m.faults.blocksWriters {
		c.reads = make(chan struct{})
		opts.Notify = func() {
			select {
			case <-c.reads:
			case <-c.gone:
			}
		}
	}
	if m.faults.keepsQueue {
		opts.Notify = c.hoard
	}
	c.subscribe(opts)
	if !m.does.Streams {
		c.sub.Close()
	}
	if m.faults.keepsQueue {
		c.hoard()
	}
	m.open[c] = struct{}{}
	if !m.declares.Marks {
		return struct{ Client }{c}, nil
	}
	return c, nil
}

// memoryClient takes an event from its cursor when it is asked for one.
type memoryClient struct {
	m       *memory
	request Request
	grant   *core.Grant
	view    *live.View
	sub     *live.Subscription
	version string // of a client that asks again
	pending []Message
	asked   []string // marks
	has     string   // version
	batches int
	gone    chan struct{}
	once    sync.Once
	reads   chan struct{} // of blocksWriters, as is ahead
	ahead   *live.Event

	mu    sync.Mutex // guards what follows
	queue []*live.Event
	ended bool
}

func (c *memoryClient) subscribe(opts live.SubscribeOptions) {
	if c.m.faults.subscribe != nil {
		c.sub = c.m.faults.subscribe(c.grant)
		return
	}
	c.sub = c.grant.Subscribe(WithPrincipal(context.Background(), c.request.Principal), opts)
}

func (c *memoryClient) Close() {
	c.once.Do(func() {
		close(c.gone)
		if !c.m.faults.keepsVanished {
			c.sub.Close()
		}
		c.grant.Close()
		c.m.mu.Lock()
		defer c.m.mu.Unlock()
		delete(c.m.open, c)
	})
}

func (c *memoryClient) Next(ctx context.Context) (Message, error) {
	for {
		if c.m.faults.halfAtTheEnd && c.m.reg.Stopping().Err() != nil {
			return Message{}, io.EOF
		}
		if len(c.pending) > 0 {
			msg := c.pending[0]
			c.pending = c.pending[1:]
			if !msg.More && msg.Action != Marked {
				c.has = msg.Version
			}
			return msg, nil
		}
		if len(c.asked) > 0 {
			if !c.m.faults.marksAtOnce && !c.m.faults.takesAnyMark {
				if err := c.grant.Reach(ctx, c.asked[0]); err != nil {
					c.asked = c.asked[1:]
					return Message{}, fmt.Errorf("%w: %w", ErrNoMark, err)
				}
			}
			if now := c.view.Version().Token; now == c.has || c.m.faults.marksAtOnce {
				mark := c.asked[0]
				c.asked = c.asked[1:]
				return Message{Action: Marked, Version: c.has, Mark: mark}, nil
			}
		}
		e, err := c.event(ctx)
		if err == io.EOF && c.m.faults.cutsOff != nil {
			err = c.m.faults.cutsOff
		}
		if err != nil {
			return Message{}, err
		}
		c.batches++
		c.pending = c.messages(e)
		if c.m.faults.batch != nil {
			c.pending = c.m.faults.batch(c.batches, c.pending)
		}
	}
}

// AskMark implements [MarkAsker].
func (c *memoryClient) AskMark(ctx context.Context, mark string) error {
	if !c.m.faults.takesAnyMark {
		if _, err := c.grant.HasReached(mark); err != nil {
			return fmt.Errorf("%w: %w", ErrNoMark, err)
		}
		if !c.m.does.Streams {
			if err := c.grant.Reach(ctx, mark); err != nil {
				return fmt.Errorf("%w: %w", ErrNoMark, err)
			}
		}
	}
	c.asked = append(c.asked, mark)
	return nil
}

func (c *memoryClient) event(ctx context.Context) (*live.Event, error) {
	switch {
	case !c.m.does.Streams:
		return c.poll(ctx)
	case c.m.faults.beforeLoad && c.batches == 0 && c.view.Snapshot() == nil:
		return &live.Event{Kind: live.Synced}, nil
	case c.m.faults.blocksWriters, c.m.faults.keepsQueue:
		return c.wait(ctx)
	}
	e, err := c.sub.Next(ctx)
	var denied *core.DeniedError
	switch {
	case errors.As(err, &denied) && c.m.faults.deniesNobody:
		<-ctx.Done()
		return nil, ctx.Err()
	case errors.As(err, &denied):
		return nil, c.m.refusal(err)
	case errors.Is(err, live.ErrScopeChanged):
		return c.reopen(ctx)
	case errors.Is(err, live.ErrRemoved):
		c.sub.Close()
	}
	if errors.Is(err, live.ErrRemoved) && c.m.faults.silentRemoval || errors.Is(err, live.ErrClosed) && c.m.faults.staysOpen {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return e, ended(ctx, err)
}

// reopen goes on with what may be seen from now on.
func (c *memoryClient) reopen(ctx context.Context) (*live.Event, error) {
	g, err := c.m.leave(ctx, c.request)
	if err != nil {
		return nil, err
	}
	c.sub.Close()
	c.grant.Close()
	c.grant, c.view = g, g.View()
	c.subscribe(live.SubscribeOptions{})
	return c.event(ctx)
}

// ended makes the end of a subscription that of a connection.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil {
		return io.EOF
	}
	return err
}

// poll asks again until there is something new.
func (c *memoryClient) poll(ctx context.Context) (e *live.Event, err error) {
	late := eventually(ctx, "there is something new", func() bool {
		c.m.mu.Lock()
		closed := c.m.closed
		c.m.mu.Unlock()
		var g *core.Grant
		if g, err = c.m.leave(ctx, c.request); err != nil {
			if errors.Is(err, ErrRefused) {
				err = io.EOF
			}
			return true
		}
		defer g.Close()
		c.view = g.View()
		s := c.view.Snapshot()
		switch {
		case s == nil && g.Member():
			return false
		case closed, isClosed(c.view.Done()):
			err = io.EOF
		case s == nil:
			err = ErrUnavailable
		case s.Version().Token != c.version:
			c.version = s.Version().Token
			e = &live.Event{Kind: live.Synced, Version: s.Version(), Snapshot: s}
		case c.batches == 0:
			e = &live.Event{Kind: live.Confirmed, Version: s.Version()}
		default:
			return false
		}
		return true
	})
	return e, errors.Join(err, late)
}

// wait is for the faults that notify or queue.
func (c *memoryClient) wait(ctx context.Context) (e *live.Event, err error) {
	late := eventually(ctx, "there is an event", func() bool {
		if c.reads != nil {
			select {
			case c.reads <- struct{}{}:
			default:
			}
			if e = c.ahead; e == nil {
				e, err = c.sub.Poll()
			}
			// Looked ahead, so that the next publish notifies.
			c.ahead, _ = c.sub.Poll()
		} else {
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(c.queue) > 0 {
				e, c.queue = c.queue[0], c.queue[1:]
			} else if c.ended {
				err = io.EOF
			}
		}
		return e != nil || err != nil
	})
	if late != nil {
		return nil, late
	}
	return e, ended(ctx, err)
}

// hoard takes every event on the goroutine that publishes it, and keeps it.
func (c *memoryClient) hoard() {
	for {
		e, err := c.sub.Poll()
		c.mu.Lock()
		switch {
		case err != nil:
			c.ended = true
		case e != nil:
			c.queue = append(c.queue, e)
		}
		c.mu.Unlock()
		if e == nil {
			return
		}
	}
}

func (c *memoryClient) messages(e *live.Event) (batch []Message) {
	add := func(action Action, rows []json.RawMessage) {
		for part := range slices.Chunk(rows, 400) {
			batch = append(batch, Message{Action: action, Rows: part, Version: e.Version.Token, More: true})
		}
	}
	kind := e.Kind
	if kind == live.Confirmed && c.m.does.Resumes {
		return []Message{{Action: Current, Version: e.Version.Token}}
	}
	switch {
	case kind == live.Changed && c.m.does.Deltas:
		var gone []json.RawMessage
		for _, r := range e.Deleted {
			gone = append(gone, c.view.KeyJSON(r))
		}
		add(Delete, gone)
		add(Create, rowsOf(e.Created))
		add(Update, rowsOf(e.Updated))
	default:
		s := e.Snapshot
		if kind != live.Synced {
			s = c.view.Snapshot()
			e = &live.Event{Version: s.Version()}
		}
		if s != nil {
			add(Sync, encoded(s))
		}
		if len(batch) == 0 {
			batch = []Message{{Action: Sync, Version: e.Version.Token}}
		}
	}
	batch[len(batch)-1].More = false
	return batch
}

func rowsOf(rows []live.Row) (out []json.RawMessage) {
	for _, r := range rows {
		out = append(out, r.JSON())
	}
	return out
}

var (
	_ Harness        = (*memory)(nil)
	_ core.Transport = (*memory)(nil)
	_ Client         = (*memoryClient)(nil)
)

// argsOf returns the arguments of a request.
func argsOf(q Request) core.Args {
	q.Version = ""
	return core.QueryArgs(q.Query())
}
