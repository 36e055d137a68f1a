package warmstart_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/plugins/warmstart"
)

type thing struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

// shop is a registry with two bindings of one table, and snapshots.
type shop struct {
	t      *testing.T
	reg    *core.Registry
	source *coretest.Source
	all    *core.Binding[thing]
	first  *core.Binding[thing]
	fam    *core.Family[thing]
	logs   coretest.Output
}

func open(t *testing.T, tab *coretest.Table[thing], dir, database string, cfg warmstart.Config) *shop {
	t.Helper()
	s := &shop{t: t, source: &coretest.Source{}}
	s.reg = core.Config{Logger: slog.New(slog.NewTextHandler(&s.logs, nil))}.NewRegistry()
	s.all = core.Bind("all", tab)
	s.first = core.Bind("first", tab, core.OrderBy("-name"), core.Limit(2))
	s.fam = core.BindFamily("named", tab, core.Where(filter.Eq("name", filter.Param("name"))))
	_ = s.reg.Add(s.all, s.first, s.fam)
	_ = s.reg.Watch(s.source)
	_ = s.reg.Use(warmstart.New(dir, database, cfg))
	if err := s.reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shop) close() {
	s.t.Helper()
	if err := s.reg.Shutdown(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

func names(b *core.Binding[thing]) (out []string) {
	for row := range b.All() {
		out = append(out, row.Name)
	}
	return out
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestRestart: what was served before is served again, without the database, and
// goes on from there with it.
func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "it")
	tab := coretest.NewTable[thing]("things", "id")
	tab.Put(thing{1, "a"}, thing{2, "b"}, thing{3, "c"})
	s := open(t, tab, dir, "db", warmstart.Config{})
	if _, err := s.fam.Open(t.Context(), core.Args{"name": "a"}); err != nil {
		t.Fatal(err)
	}
	before := s.all.Version()
	s.close()
	if got := files(t, dir); !slices.Equal(got, []string{"all.snapshot", "first.snapshot"}) {
		t.Fatalf("files: %v", got)
	}

	tab.Fail(errors.New("away"))
	tab.Put(thing{2, "B"})
	tab.Remove(tab.KeyOf(thing{ID: 1}))
	s = open(t, tab, dir, "db", warmstart.Config{})
	defer s.close()
	if !slices.Equal(names(s.all), []string{"a", "b", "c"}) || !slices.Equal(names(s.first), []string{"c", "b"}) {
		t.Errorf("served: %v, %v", names(s.all), names(s.first))
	}
	if v := s.all.Version(); v.Token != before.Token || !v.Modified.Equal(before.Modified) {
		t.Errorf("version %v, want %v", v, before)
	}
	if st := s.all.Status(); st.State != status.Restored {
		t.Errorf("state %s", st.State)
	}
	if len(s.logs.Lines("id=warmstart-restored ")) != 2 {
		t.Errorf("logged: %s", s.logs.String())
	}
	sub := s.all.Subscribe(live.SubscribeOptions{Version: before.Token})
	defer sub.Close()
	if e, err := sub.Next(t.Context()); err != nil || e.Kind != live.Confirmed {
		t.Fatal(e, err)
	}
	tab.Fail(nil)
	if err := s.all.Resync(t.Context()); err != nil {
		t.Fatal(err)
	}
	e, err := sub.Next(t.Context())
	if err != nil || e.Kind != live.Changed || len(e.Deleted) != 1 || len(e.Updated) != 1 || len(e.Created) != 0 {
		t.Errorf("a client that resumes gets %v, %v", e, err)
	}
	if !slices.Equal(names(s.all), []string{"B", "c"}) {
		t.Errorf("after the return: %v", names(s.all))
	}
}

// TestIgnored: a file that is not what it should be is named in the log, and the
// binding loads.
func TestIgnored(t *testing.T) {
	good := t.TempDir()
	tab := coretest.NewTable[thing]("things", "id")
	tab.Put(thing{1, "a"}, thing{2, "b"}, thing{3, "c"})
	open(t, tab, good, "db", warmstart.Config{}).close()
	whole, err := os.ReadFile(filepath.Join(good, "all.snapshot"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(filepath.Join(good, "first.snapshot"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		database string
		cfg      warmstart.Config
		file     []byte
		why      string
	}{
		"empty":            {"db", warmstart.Config{}, nil, "no snapshot"},
		"text":             {"db", warmstart.Config{}, []byte("hello"), "no snapshot"},
		"cut":              {"db", warmstart.Config{}, whole[:len(whole)/2], "damaged"},
		"changed":          {"db", warmstart.Config{}, bytes.Replace(whole, []byte(`"a"`), []byte(`"x"`), 1), "damaged"},
		"another binding":  {"db", warmstart.Config{}, other, "another binding"},
		"another database": {"elsewhere", warmstart.Config{}, whole, "another database"},
		"too large":        {"db", warmstart.Config{MaxBytes: 20}, whole, "larger"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "all.snapshot")
			if err := os.WriteFile(path, c.file, 0o600); err != nil {
				t.Fatal(err)
			}
			if found := warmstart.New(dir, c.database).Found(); found && c.why != "damaged" && name != "too large" {
				t.Error("it counts as found")
			}
			s := open(t, tab, dir, c.database, c.cfg)
			if got := s.logs.Lines("id=warmstart-ignored "); len(got) != 1 || !strings.Contains(got[0], path) || !strings.Contains(got[0], c.why) {
				t.Errorf("logged: %q, want %q and the file", got, c.why)
			}
			if s.all.Status().State != status.Live || s.all.Len() != 3 {
				t.Errorf("it has not loaded: %v", s.all.Status())
			}
			s.close()
			s = open(t, tab, dir, c.database, warmstart.Config{}) // the file was replaced, or removed
			defer s.close()
			if got := s.logs.Lines("id=warmstart-ignored "); len(got) != 0 {
				t.Errorf("still: %q", got)
			}
		})
	}
	t.Run("no such binding", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "gone.snapshot"), whole, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, tab, dir, "db", warmstart.Config{})
		defer s.close()
		if got := s.logs.Lines("id=warmstart-ignored "); len(got) != 1 || !strings.Contains(got[0], "gone.snapshot") {
			t.Errorf("logged: %q", got)
		}
	})
}

// TestSchedule: a snapshot is written after quiet, at the latest after a while, not
// too often, and not when nothing has changed.
func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		tab := coretest.NewTable[thing]("things", "id")
		s := open(t, tab, dir, "db", warmstart.Config{Quiet: 10 * time.Second, MaxDelay: time.Minute, MinInterval: 30 * time.Second})
		defer s.close()
		n := 0
		change := func() {
			n++
			if err := s.source.Report(t.Context(), tab.Put(thing{1, fmt.Sprint(n)})); err != nil {
				t.Fatal(err)
			}
		}
		// saved is what the file holds, "" when it was not written.
		saved := func() string {
			synctest.Wait()
			b, err := os.ReadFile(filepath.Join(dir, "all.snapshot"))
			if err != nil {
				return ""
			}
			_, rest, _ := strings.Cut(string(b), `"name":"`)
			name, _, _ := strings.Cut(rest, `"`)
			return name
		}
		time.Sleep(11 * time.Second) // the first load is written
		change()
		if saved() != "" {
			t.Error("written at once:", saved())
		}
		time.Sleep(9 * time.Second)
		change() // so it is not quiet
		time.Sleep(9 * time.Second)
		if saved() != "" {
			t.Error("written while it changes:", saved())
		}
		time.Sleep(12 * time.Second)
		if saved() != "2" {
			t.Errorf("after quiet: %q", saved())
		}
		old, err := os.Open(filepath.Join(dir, "all.snapshot"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = old.Close() }()
		change()
		time.Sleep(11 * time.Second)
		if saved() != "2" {
			t.Errorf("written again before MinInterval: %q", saved())
		}
		time.Sleep(20 * time.Second)
		if saved() != "3" {
			t.Errorf("after MinInterval: %q", saved())
		}
		for range 13 { // never quiet
			change()
			time.Sleep(5 * time.Second)
		}
		if got := saved(); got == "3" {
			t.Errorf("after MaxDelay: %q", got)
		}
		change()
		time.Sleep(time.Minute)
		if b, err := io.ReadAll(old); err != nil || !strings.Contains(string(b), `"name":"2"`) {
			t.Errorf("the file was not replaced but written to: %q, %v", b, err)
		}
		marked := time.Unix(1, 0)
		if err := os.Chtimes(filepath.Join(dir, "all.snapshot"), marked, marked); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if info, err := os.Stat(filepath.Join(dir, "all.snapshot")); err != nil || !info.ModTime().Equal(marked) {
			t.Errorf("written without need: %v, %v", info, err)
		}
		if got := files(t, dir); len(got) != 2 {
			t.Errorf("files: %v", got)
		}
	})
}

// TestNoRoom: what does not fit is not kept, not even as it was.
func TestNoRoom(t *testing.T) {
	dir := t.TempDir()
	tab := coretest.NewTable[thing]("things", "id")
	tab.Put(thing{1, "a"})
	open(t, tab, dir, "db", warmstart.Config{MaxBytes: 500}).close()
	if got := files(t, dir); len(got) != 2 {
		t.Fatalf("files: %v", got)
	}
	tab.Put(thing{2, strings.Repeat("b", 100)}, thing{3, strings.Repeat("b", 100)})
	s := open(t, tab, dir, "db", warmstart.Config{MaxBytes: 500})
	if err := errors.Join(s.all.Resync(t.Context()), s.first.Resync(t.Context())); err != nil {
		t.Fatal(err)
	}
	s.close()
	if got := files(t, dir); len(got) == 2 || len(s.logs.Lines("id=warmstart-no-room ")) == 0 {
		t.Errorf("files: %v, logged: %s", got, s.logs.String())
	}
}

// TestUnwritable: what cannot be written is told, and the shutdown says so.
func TestUnwritable(t *testing.T) {
	dir := t.TempDir()
	tab := coretest.NewTable[thing]("things", "id")
	s := open(t, tab, dir, "db", warmstart.Config{})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.source.Report(t.Context(), tab.Put(thing{1, "a"})); err != nil {
		t.Fatal(err)
	}
	if err := s.reg.Shutdown(context.Background()); err == nil || !strings.Contains(err.Error(), `"all"`) {
		t.Errorf("Shutdown: %v", err)
	}
	if got := s.logs.Lines("id=warmstart-unwritten "); len(got) == 0 || !strings.Contains(got[0], "all.snapshot") {
		t.Errorf("logged: %q", got)
	}
	again := open(t, tab, dir, "db", warmstart.Config{})
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := again.reg.Shutdown(ended); err != nil && strings.Contains(err.Error(), "warmstart") {
		t.Errorf("a shutdown without time: %v", err)
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("files: %v", got)
	}
}

// TestLeftovers of a process that died while it wrote are removed, those of one that
// may still write are not.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"all.1.snapshot.tmp", "all.2.snapshot.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "all.1.snapshot.tmp"), long, long); err != nil {
		t.Fatal(err)
	}
	s := open(t, coretest.NewTable[thing]("things", "id"), dir, "db", warmstart.Config{})
	if got := files(t, dir); !slices.Equal(got, []string{"all.2.snapshot.tmp"}) {
		t.Errorf("files: %v", got)
	}
	s.close()
}

// TestMisuse is reported by Start.
func TestMisuse(t *testing.T) {
	for want, p := range map[string]*warmstart.Plugin{
		"directory":     warmstart.New("", "db"),
		"names":         warmstart.New(t.TempDir(), ""),
		"more than one": warmstart.New(t.TempDir(), "db", warmstart.Config{}, warmstart.Config{}),
		"Quiet":         warmstart.New(t.TempDir(), "db", warmstart.Config{Quiet: -1}),
		"MaxBytes":      warmstart.New(t.TempDir(), "db", warmstart.Config{MaxBytes: -1}),
		"snapshots":     warmstart.New("/dev/null/x", "db"),
	} {
		reg := core.NewRegistry()
		_ = reg.Use(p)
		if err := reg.Start(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		if err := p.Shutdown(t.Context()); err != nil {
			t.Errorf("%s: Shutdown: %v", want, err)
		}
	}
}

// TestClientsFromBeforeResume: after a restart a client resumes by events also from a
// version that was replaced before the snapshot was written, such as one that a drain has
// disconnected while others still wrote.
func TestClientsFromBeforeResume(t *testing.T) {
	dir := t.TempDir()
	tab := coretest.NewTable[thing]("things", "id")
	for i := range 20 {
		tab.Put(thing{i, "old"})
	}
	s := open(t, tab, dir, "db", warmstart.Config{})
	left := s.all.Version().Token
	for _, c := range []struct {
		id   int
		name string
	}{{1, "a"}, {2, "b"}, {1, "c"}, {99, "new"}} {
		if err := s.source.Report(t.Context(), tab.Put(thing{c.id, c.name})); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.source.Report(t.Context(), tab.Remove(tab.KeyOf(thing{ID: 5}))); err != nil {
		t.Fatal(err)
	}
	s.close()
	tab.Fail(errors.New("away"))
	for range 2 { // restarts, of which the second saves nothing new
		s = open(t, tab, dir, "db", warmstart.Config{})
		sub := s.all.Subscribe(live.SubscribeOptions{Version: left})
		e, err := sub.Poll()
		sub.Close()
		if err != nil || e == nil || e.Kind != live.Changed || e.From != left || e.Version.Token != s.all.Version().Token {
			t.Fatalf("resuming from %s: %+v, %v", left, e, err)
		}
		told := fmt.Sprint(jsonOf(e.Created), jsonOf(e.Updated), jsonOf(e.Deleted))
		if want := `[{"id":99,"name":"new"}] [{"id":1,"name":"c"} {"id":2,"name":"b"}] [{"id":5,"name":"old"}]`; told != want {
			t.Errorf("told %s, want %s", told, want)
		}
		if was, ok := e.Updated[0].Value().(*thing); !ok || was.Name != "c" {
			t.Errorf("the Go value is %#v", e.Updated[0].Value())
		}
		s.close()
	}
}

func jsonOf(rows []live.Row) (out []string) {
	for _, r := range rows {
		out = append(out, string(r.JSON()))
	}
	slices.Sort(out)
	return out
}
