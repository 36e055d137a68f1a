package together_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/sources/bunsource"
)

const (
	bankAccounts = 200
	bankBranches = 2
	openingSum   = 1000 // of every account
)

// account is a row of the bank. Transfers stay within a branch, so that the
// bindings of a branch have a constant total too.
type account struct {
	bun.BaseModel `bun:"table:accounts"`

	ID      int64 `bun:",pk" json:"id"`
	Branch  int64 `bun:",notnull" json:"branch"`
	Balance int64 `bun:",notnull" json:"balance"`
}

// bank holds every version that anybody can see against the total that every
// state of the database has.
type bank struct {
	reg      *core.Registry
	bindings map[string]*core.Binding[account]
	totals   map[string]int64
	replicas []*replica
	// stop ends the subscribers and waits for them.
	stop func()

	versions atomic.Int64
	mu       sync.Mutex // guards torn
	torn     []error
}

var (
	_ core.Plugin          = (*bank)(nil)
	_ core.PublishObserver = (*bank)(nil)
)

// createBank makes the table and opens the accounts.
func createBank(t testing.TB, plain *bun.DB) {
	t.Helper()
	ctx := t.Context()
	if _, err := plain.NewCreateTable().Model((*account)(nil)).Exec(ctx); err != nil {
		t.Fatal(err)
	}
	rows := make([]account, bankAccounts)
	for i := range rows {
		rows[i] = account{ID: int64(i), Branch: int64(i % bankBranches), Balance: openingSum}
	}
	if _, err := plain.NewInsert().Model(&rows).Exec(ctx); err != nil {
		t.Fatal(err)
	}
}

// openBank binds the accounts of db in several ways and watches them with the
// sources.
func openBank(t testing.TB, db *bun.DB, sources ...driver.Source) *bank {
	t.Helper()
	const whole, branch = bankAccounts * openingSum, bankAccounts / bankBranches * openingSum
	b := &bank{
		bindings: map[string]*core.Binding[account]{
			"all":     bunsource.Bind[account](db, "all"),
			"richest": bunsource.Bind[account](db, "richest", core.OrderBy("-balance"), core.Limit(2*bankAccounts)),
			"branch":  bunsource.Bind[account](db, "branch", core.Where(filter.Eq("branch", 0)), core.OrderBy("balance")),
			"opaque": bunsource.Bind[account](db, "opaque", bunsource.Where(func(q *bun.SelectQuery) *bun.SelectQuery {
				return q.Where("branch + 0 = 1")
			})),
		},
		totals: map[string]int64{"all": whole, "richest": whole, "branch": branch, "opaque": branch},
	}
	b.reg = core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry()
	for _, binding := range b.bindings {
		must(t, b.reg.Add(binding))
	}
	must(t, b.reg.Watch(sources...))
	must(t, b.reg.Use(b))
	must(t, b.reg.Start(t.Context()))
	t.Cleanup(func() { shutdown(t, b.reg) })

	ctx, cancel := context.WithCancel(context.Background())
	var followers sync.WaitGroup
	for name, binding := range b.bindings {
		r := &replica{view: binding.View, check: func(rows map[driver.Key]string) error {
			var sum int64
			for _, text := range rows {
				var a account
				if err := json.Unmarshal([]byte(text), &a); err != nil {
					return err
				}
				sum += a.Balance
			}
			return b.audit(name, sum)
		}}
		b.replicas = append(b.replicas, r)
		followers.Go(func() { r.follow(ctx) })
	}
	b.stop = sync.OnceFunc(func() { cancel(); followers.Wait() })
	t.Cleanup(b.stop)
	return b
}

// Name implements [core.Plugin].
func (*bank) Name() string { return "bank" }

// Start implements [core.Plugin].
func (*bank) Start(context.Context, *core.Registry) error { return nil }

// Shutdown implements [core.Plugin].
func (*bank) Shutdown(context.Context) error { return nil }

// Published implements [core.PublishObserver]: it looks at every version.
func (b *bank) Published(v *live.View, e *live.Event) {
	b.versions.Add(1)
	var sum int64
	for a := range b.bindings[v.Name()].All() {
		sum += a.Balance
	}
	err := b.audit(v.Name(), sum)
	if at := v.Snapshot().Version(); err == nil && at != e.Version {
		err = fmt.Errorf("binding %q is at %v while %v is published", v.Name(), at, e.Version)
	}
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.torn = append(b.torn, err)
	}
}

func (b *bank) audit(binding string, sum int64) error {
	if want := b.totals[binding]; sum != want {
		return fmt.Errorf("binding %q shows a total of %d, want %d", binding, sum, want)
	}
	return nil
}

// tornVersions returns what was wrong with the versions published so far.
func (b *bank) tornVersions() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.torn); n > 3 {
		return fmt.Errorf("%w\n… and %d more versions", errors.Join(b.torn[:3]...), n-3)
	}
	return errors.Join(b.torn...)
}

// close waits until all that was written shows, and reports what was wrong.
func (b *bank) close(t *testing.T, plain *bun.DB) {
	t.Helper()
	var want []account
	must(t, plain.NewSelect().Model(&want).Order("id").Scan(t.Context()))
	var sum int64
	for _, a := range want {
		sum += a.Balance
	}
	if err := b.audit("all", sum); err != nil {
		t.Fatalf("the tellers made a mistake, in the database: %v", err)
	}
	eventually(t, "the bindings show the accounts as they are", func() error {
		i := 0
		for a := range b.bindings["all"].All() {
			if i >= len(want) || a != want[i] {
				return fmt.Errorf("the binding has %v at %d", a, i)
			}
			i++
		}
		if i != len(want) {
			return fmt.Errorf("the binding has %d accounts, want %d", i, len(want))
		}
		return nil
	})
	for _, r := range b.replicas {
		eventually(t, "the subscribers catch up", func() error {
			if err := r.result(); errors.Is(err, errBehind) {
				return err
			} else if err != nil {
				t.Error(err)
			}
			return nil
		})
	}
	if err := b.tornVersions(); err != nil {
		t.Error(err)
	}
	if n := b.versions.Load(); n < 5 {
		t.Errorf("only %d versions were seen", n)
	}
	t.Logf("%d versions; %+v", b.versions.Load(), b.reg.Status().Tables)
}
