package warmstart

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

// Plugin keeps snapshots. It is made by [New] and given to [core.Registry.Use].
type Plugin struct {
	store store
	dir   string
	named string // what the user calls the database
	cfg   Config
	extra bool // more than one configuration is given

	// From Start on.
	reg  *core.Registry
	keep *keeper
}

var (
	_ core.Plugin          = (*Plugin)(nil)
	_ core.PublishObserver = (*Plugin)(nil)
)

// New returns a plugin that keeps snapshots in the directory, which it creates if
// needed. database tells the program's databases apart, and may be an address:
// snapshots of another database are not used. Only its hash is written, so it may hold
// a password, but a new password then means another database. At most one configuration
// may be given. [core.Registry.Start] reports errors in it.
func New(dir, database string, cfg ...Config) *Plugin {
	p := &Plugin{dir: dir, named: database, extra: len(cfg) > 1}
	if len(cfg) > 0 {
		p.cfg = cfg[0]
	}
	p.cfg = p.cfg.WithDefaults()
	p.store = store{dir: dir, database: idOf(database), maxBytes: p.cfg.MaxBytes}
	return p
}

// Name returns "warmstart".
func (*Plugin) Name() string { return "warmstart" }

// Found reports whether the directory has snapshots of the database. If so, the program
// need not wait for its database before [core.Registry.Start]. Found reads only the
// beginnings of files, and may be called before Start.
func (p *Plugin) Found() bool { return p.store.found() }

// Validate returns every error in the configuration, see [driver.Validator].
func (p *Plugin) Validate() error {
	if p.extra {
		return errors.New("warmstart: more than one configuration is given")
	}
	if err := p.cfg.Validate(); err != nil {
		return fmt.Errorf("warmstart: %w", err)
	}
	if p.dir == "" || p.named == "" {
		return errors.New("warmstart: it needs a directory, and something that names the database")
	}
	return nil
}

// Start makes bindings serve their saved rows, and begins to watch them, see
// [core.Plugin].
func (p *Plugin) Start(_ context.Context, reg *core.Registry) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if err := p.store.prepare(time.Now()); err != nil {
		return fmt.Errorf("warmstart: %w", err)
	}
	p.reg, p.keep = reg, newKeeper(reg, p.cfg, &p.store)
	p.restore(reg)
	p.keep.start()
	return nil
}

// restore gives all bindings their saved rows, several at a time.
func (p *Plugin) restore(reg *core.Registry) {
	var restoring sync.WaitGroup
	known := make(map[string]bool)
	for _, v := range reg.Views() {
		known[v.Name()] = true
		restoring.Go(func() { p.restoreOne(reg, v) })
	}
	restoring.Wait()
	for _, name := range p.store.names() {
		if !known[name] {
			p.ignored(reg.Logger(), name, errors.New("the registry has no such binding"))
		}
	}
}

func (p *Plugin) restoreOne(reg *core.Registry, v *live.View) {
	begun := time.Now()
	saved, size, err := p.store.read(v.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = reg.Restore(v, saved)
	}
	p.keep.has(v.Name(), saved.Token, size, err == nil)
	if err != nil {
		p.ignored(reg.Logger(), v.Name(), err)
		return
	}
	reg.Logger().Info("warmstart: a binding serves what was saved of it", slog.String("id", "warmstart-restored"),
		slog.String("binding", v.Name()), slog.Int("rows", len(saved.Rows)), slog.Time("modified", saved.Modified),
		slog.Duration("took", time.Since(begun)))
}

func (p *Plugin) ignored(log *slog.Logger, binding string, why error) {
	log.Warn("warmstart: a snapshot is ignored; the binding loads from the database", slog.String("id", "warmstart-ignored"),
		slog.String("file", p.store.path(binding)), slog.Any("error", why))
}

// Published notes that a binding has changed, see [core.PublishObserver].
func (p *Plugin) Published(v *live.View, _ *live.Event) {
	if declared, ok := p.reg.Lookup(v.Name()); ok && declared == v { // not a member of a family
		p.keep.changed(v)
	}
}

// Shutdown writes the bindings that have changed since their last snapshot, until the
// context ends. The others keep their old snapshot, which is no error.
func (p *Plugin) Shutdown(ctx context.Context) error {
	if p.keep == nil {
		return nil
	}
	return p.keep.stop(ctx)
}

// sortedNames returns the names in order.
func sortedNames(m map[string]*kept) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
