package transporttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
)

// item is the row of all cases.
type item struct {
	ID      int    `json:"id"`
	Name    string `json:"name"`
	Visible bool   `json:"visible"`
	Owner   string `json:"owner,omitempty"`
}

// The bindings of every rig, over one table.
const (
	items   = "items"   // all rows
	visible = "visible" // those that are
	short   = "short"   // all rows, with a log of shortLog events
	owned   = "owned"   // a family: the rows of an owner that are visible, or not
	picked  = "picked"  // a family whose parameters need not be given: the rows of some owners, with a text in the name
)

const shortLog = 4

// setup describes the rig that a case needs.
type setup struct {
	rows int  // number of rows before the start
	held bool // the table cannot be read until rig.release is called

	authorizer core.Authorizer // nil for none
	families   bool            // only for transports with Abilities.Families
	writable   bool
	seed       func([]item) []item // changes the rows before the start; nil: leaves them
}

// rig is a running registry that serves the harness's transport.
type rig struct {
	Harness
	can     Abilities
	reg     *core.Registry
	source  *coretest.Source
	table   *coretest.Table[item]
	history *history
	release func() // lets the table be read

	mu      sync.Mutex // guards what follows
	clients []Client
	next    int // makes names unique
}

func newRig(ctx context.Context, h Harness, s setup) (*rig, error) {
	r := &rig{
		Harness: h, can: h.Abilities(), source: &coretest.Source{},
		table: coretest.NewTable[item]("items", "id"), history: newHistory(), release: func() {},
	}
	var rows []item
	for i := range s.rows {
		rows = append(rows, item{ID: i + 1, Name: fmt.Sprint("row ", i+1), Visible: i%3 > 0, Owner: owners[i%len(owners)]})
	}
	if s.seed != nil {
		rows = s.seed(rows)
	}
	r.table.Put(rows...)
	var opts []core.Option
	if s.writable {
		opts = append(opts, core.Writable())
	}
	cfg := core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if s.held {
		cfg.LoadWait = -1
		r.release = r.table.Hold()
	}
	r.reg = cfg.NewRegistry()
	err := errors.Join(
		r.reg.Add(r.bind(items, opts...), r.bind(visible, append(opts, core.Where(filter.Eq("visible", true)), core.OrderBy("-name"))...), r.bind(short, core.Tune(core.Tuning{LogEvents: shortLog})),
			core.BindFamily[item](picked, r.table, append(opts, core.Where(
				filter.In("owner", filter.Param("owner").Repeated().Optional()), filter.Contains("name", filter.Param("text").Optional())))...),
			core.BindFamily[item](owned, r.table, append(opts, core.Where(filter.Eq("owner", filter.Param("owner")), filter.Eq("visible", filter.Param("visible"))))...)),
		r.reg.Watch(r.source), r.reg.Use(r.history), r.reg.Serve(h.Transport()))
	if err == nil && s.authorizer != nil {
		err = r.reg.Authorize(s.authorizer)
	}
	if err == nil {
		err = r.reg.Start(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("starting a registry with the transport: %w", err)
	}
	return r, nil
}

func (r *rig) bind(name string, opts ...core.Option) *core.Binding[item] {
	return core.Bind[item](name, r.table, opts...)
}

// endTimeout bounds the end of a rig, even if the case's own time is over.
const endTimeout = 60 * time.Second

// end ends everything and returns the errors that it finds.
func (r *rig) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	r.release()
	r.closeClients()
	var errs []error
	if err := r.reg.Shutdown(ctx); err != nil {
		errs = append(errs, fmt.Errorf("shutting down the registry: %w", err))
	}
	if err := r.Harness.Close(); err != nil {
		errs = append(errs, fmt.Errorf("closing the harness: %w", err))
	}
	return errors.Join(append(errs, r.history.unmodified())...)
}

func (r *rig) closeClients() {
	r.mu.Lock()
	clients := r.clients
	r.clients = nil
	r.mu.Unlock()
	for _, c := range clients {
		c.Close()
	}
}

// connect connects a client. The rig closes it at the end, if nobody has before.
func (r *rig) connect(ctx context.Context, binding, version string) (Client, error) {
	return r.connectTo(ctx, Request{Binding: binding, Version: version})
}

func (r *rig) connectTo(ctx context.Context, q Request) (c Client, err error) {
	if q.Params == nil && q.Repeated == nil && q.Principal == "" {
		c, err = r.Connect(ctx, q.Binding, q.Version)
	} else {
		c, err = r.Harness.(Asker).ConnectTo(ctx, q) // rule.inRig has checked that
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to %q: %w", q.Binding, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clients = append(r.clients, c)
	return c, nil
}

// view returns the binding of that name, which must exist.
func (r *rig) view(name string) *live.View {
	v, _ := r.reg.Lookup(name)
	return v
}

func (r *rig) token(name string) string { return r.view(name).Version().Token }

// put writes rows in one transaction, and returns when the bindings show them.
func (r *rig) put(ctx context.Context, rows ...item) error {
	return r.report(ctx, r.table.Put(rows...))
}

// remove removes rows in one transaction, and returns when the bindings show that.
func (r *rig) remove(ctx context.Context, ids ...int) error {
	keys := make([]driver.Key, len(ids))
	for i, id := range ids {
		keys[i] = driver.KeyOf(id)
	}
	return r.report(ctx, r.table.Remove(keys...))
}

func (r *rig) report(ctx context.Context, c driver.Change) error {
	if err := r.source.Report(ctx, c); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// name returns a name that no row had before.
func (r *rig) name() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	return fmt.Sprintf("name %d <&>  \"é\"", r.next)
}

// write makes a transaction: several rows appear, change, become visible or invisible,
// and go. Each binding gets a version that it never had before.
func (r *rig) write(ctx context.Context, rnd *rand.Rand) error {
	name := r.name()
	c := r.table.Put(item{ID: 60, Name: name, Visible: true})
	r.table.Edit(func(rows map[driver.Key]item) {
		for range 1 + rnd.IntN(5) {
			it := item{ID: 1 + rnd.IntN(40), Name: name, Visible: rnd.IntN(3) > 0}
			rows[driver.KeyOf(it.ID)] = it
			c.Keys = append(c.Keys, driver.KeyOf(it.ID))
		}
		for range rnd.IntN(3) {
			id := 41 + rnd.IntN(10) // none of the rows above, which must stay
			k := driver.KeyOf(id)
			if _, ok := rows[k]; ok {
				delete(rows, k)
			} else {
				rows[k] = item{ID: id, Name: name, Visible: true}
			}
			c.Keys = append(c.Keys, k)
		}
	})
	return r.report(ctx, c)
}

// randomness returns numbers that are the same in every run.
func randomness(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// eventually waits until the condition holds.
func eventually(ctx context.Context, what string, condition func() bool) error {
	for wait := time.Millisecond; !condition(); wait = min(2*wait, 50*time.Millisecond) {
		select {
		case <-ctx.Done():
			return errors.New("in vain waited until " + what)
		case <-time.After(wait):
		}
	}
	return nil
}

// subscribers waits until the binding has enough subscribers. It calls meanwhile
// between its checks, to help.
func (r *rig) subscribers(ctx context.Context, binding string, enough func(n int) bool, meanwhile func() error) error {
	v := r.view(binding)
	var failed error
	err := eventually(ctx, "the subscriptions are as many as should be", func() bool {
		if enough(v.Counts().Subscribers) {
			return true
		}
		if meanwhile != nil {
			failed = meanwhile()
		}
		return failed != nil
	})
	if err != nil {
		err = fmt.Errorf("%w: %q has %d", err, binding, v.Counts().Subscribers)
	}
	return errors.Join(err, failed)
}

// large returns a name of that many bytes.
func large(name string, bytes int) string { return name + strings.Repeat(".", max(bytes-len(name), 0)) }
