package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/feed"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
)

type row struct {
	ID int `json:"id"`
}

// nobody is a loader of a table without rows.
type nobody struct{ *driver.Description[row] }

func (nobody) Load(context.Context, []driver.Key) ([]*row, error) { return nil, nil }

func table(name string) driver.Table { return driver.Table{Name: name} }

// declare returns a binding of a table that depends on others.
func declare(t interface{ Fatalf(string, ...any) }, spec rowset.Spec, of string, dependsOn ...string) *rowset.Member {
	for _, d := range dependsOn {
		spec.Depends = append(spec.Depends, table(d))
	}
	loader := untyped.New[row](&nobody{driver.Describe[row](table(of), "id")})
	m := rowset.NewMember("b", nil, loader, &spec, nil)
	sh, problems := m.Check()
	if len(problems) > 0 {
		t.Fatalf("%v", errors.Join(problems...))
	}
	m.Become(sh)
	return m
}

func host() Host {
	return Host{
		Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Limits:    feed.Limits{ReadTimeout: time.Second, AnnounceWait: time.Second, CatchUpWait: time.Second, MaxBatchKeys: 100},
		Published: func(*live.View, *live.Event) {}, Kept: func(int) {},
		BatchBegins: func(ctx context.Context, _ feed.Batch) (context.Context, func(feed.Result)) {
			return ctx, func(feed.Result) {}
		},
		Reported: func(driver.Source, []driver.Change) {},
	}
}

// TestRoutesAgainstModel has declarations come and go. A change of a table reaches the
// feed of the table, by key, and every feed whose bindings depend on the table, which
// then reads everything; sources are told whenever other tables matter.
func TestRoutesAgainstModel(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	rapid.Check(t, func(t *rapid.T) {
		e := New(host())
		defer func() {
			for _, end := range e.Stop() {
				<-end.Done
			}
		}()
		type declared struct {
			member  *rowset.Member
			of      string
			depends []string
			awaited bool
			every   time.Duration
		}
		var all []declared
		heardBefore := map[string]bool{}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			_, changed := e.heard()
			if len(all) > 0 && rapid.IntRange(0, 2).Draw(t, "step") == 0 {
				i := rapid.IntRange(0, len(all)-1).Draw(t, "which")
				if err := e.Detach(context.Background(), all[i].member); err != nil {
					t.Fatalf("%v", err)
				}
				all = slices.Delete(all, i, i+1)
			} else {
				d := declared{of: rapid.SampledFrom(names).Draw(t, "table")}
				if rapid.Bool().Draw(t, "derived") {
					d.depends = rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 3, rapid.ID).Draw(t, "depends")
					d.awaited = rapid.Bool().Draw(t, "awaited")
					d.every = time.Duration(rapid.IntRange(0, 3).Draw(t, "interval")) * time.Second
				}
				d.member = declare(t, rowset.Spec{Awaited: d.awaited, MinInterval: d.every}, d.of, d.depends...)
				e.Attach([]*rowset.Member{d.member})
				all = append(all, d)
			}

			// The model: what each feed hears of, and how it reads.
			hears, mode := map[string]map[string]bool{}, map[string]feed.Mode{}
			for _, d := range all {
				if hears[d.of] == nil {
					hears[d.of] = map[string]bool{}
				}
				m := mode[d.of]
				if len(d.depends) == 0 {
					hears[d.of][d.of] = true
				} else {
					m.Derived, m.Interval = true, max(m.Interval, d.every)
				}
				for _, on := range d.depends {
					hears[d.of][on] = true
				}
				mode[d.of] = m
			}
			for _, d := range all {
				m := mode[d.of]
				m.Lagging = m.Derived && !slices.ContainsFunc(all, func(o declared) bool { return o.of == d.of && len(o.depends) > 0 && o.awaited })
				mode[d.of] = m
			}
			heard := map[string]bool{}
			for _, name := range names {
				var want, got []string
				for of, h := range hears {
					if h[name] {
						heard[name] = true
						want = append(want, fmt.Sprint(of, of == name || mode[of].Derived, mode[of].Derived, mode[of].Lagging))
					}
				}
				for _, r := range e.routes.Load().of(table(name)) {
					got = append(got, fmt.Sprint(r.Table.Name, r.own, r.derived, r.lagging))
				}
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Fatalf("a change of %q reaches %v, want %v", name, got, want)
				}
			}
			var everyone []string
			for _, r := range e.routes.Load().of(driver.Table{}) {
				everyone = append(everyone, r.Table.Name)
			}
			slices.Sort(everyone)
			if want := slices.Sorted(maps.Keys(hears)); !slices.Equal(everyone, want) {
				t.Fatalf("a change of every table reaches %v, want %v", everyone, want)
			}
			schemas, _ := e.heard()
			slices.SortFunc(schemas, func(a, b driver.Schema) int { return cmp.Compare(a.Table.Name, b.Table.Name) })
			var told []string
			for _, s := range schemas {
				told = append(told, s.Table.Name)
			}
			if want := slices.Sorted(maps.Keys(heard)); !slices.Equal(told, want) {
				t.Fatalf("sources are told of %v, want %v", told, want)
			}
			if !maps.Equal(heard, heardBefore) {
				select {
				case <-changed:
				default:
					t.Fatalf("nobody is told that other tables matter: %v, before %v", heard, heardBefore)
				}
			}
			heardBefore = heard
		}
	})
}
