package core_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// A song shows the disc that it is on, the name of the song that it is a cover
// of, the tags that are stuck to it, and how many notes there are at all.
type song struct {
	ID       int    `json:"id"`
	Name     string `json:"name"`
	Disc     int    `json:"disc"`
	Original int    `json:"original"`

	Shown *disc  `json:"shown"`
	First string `json:"first"`
	Tags  []int  `json:"tags"`
	Notes int    `json:"notes"`
}

type disc struct {
	ID    int    `json:"id"`
	Title string `json:"title"`
}

var (
	songsTable = driver.Table{Name: "songs"}
	discsTable = driver.Table{Name: "discs"}
	tagsTable  = driver.Table{Name: "tags"}
	notesTable = driver.Table{Name: "notes"}
)

// The related tables of songs, by position.
const (
	relDiscs = iota
	relSongs
	relTags
	relNotes
)

// libraryState is one state of the database. It is not modified.
type libraryState struct {
	songs map[int]song
	discs map[int]disc
	tags  map[int]int // the songs that they are stuck to
	notes int
}

// songLibrary is a database in memory with snapshots over all its tables.
type songLibrary struct {
	mu    sync.Mutex // guards what follows
	state libraryState
	asked int // calls of Referrers
	reads int
	keys  int // that were read
	fail  error
	// after, if set, is called once, when a snapshot has been opened.
	after func()
}

func (l *songLibrary) commit(change func(s *libraryState)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = l.state.with(change)
}

// with returns the state after a change.
func (s libraryState) with(change func(s *libraryState)) libraryState {
	next := libraryState{maps.Clone(s.songs), maps.Clone(s.discs), maps.Clone(s.tags), s.notes}
	if next.songs == nil {
		next.songs, next.discs, next.tags = map[int]song{}, map[int]disc{}, map[int]int{}
	}
	change(&next)
	return next
}

type libraryKey struct{}

func (l *songLibrary) seen(ctx context.Context) libraryState {
	if s, ok := ctx.Value(libraryKey{}).(libraryState); ok {
		return s
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// songLoader reads songs, with what they show.
type songLoader struct {
	*driver.Description[song]
	lib     *songLibrary
	related []driver.Related
}

var (
	_ driver.RelationLoader[song] = (*songLoader)(nil)
	_ driver.Snapshotter          = (*songLoader)(nil)
)

func newSongs(lib *songLibrary) *songLoader {
	schemaOf := func(d interface{ Schema() (driver.Schema, error) }) driver.Schema {
		s, err := d.Schema()
		if err != nil {
			panic(err)
		}
		return s
	}
	songs := driver.Describe[song](songsTable, "id")
	return &songLoader{Description: songs, lib: lib, related: []driver.Related{
		relDiscs: {Schema: schemaOf(driver.Describe[disc](discsTable, "id"))},
		relSongs: {Schema: schemaOf(songs)},
		relTags:  {Schema: schemaOf(driver.Describe[disc](tagsTable, "id"))},
		relNotes: {Schema: schemaOf(driver.Describe[disc](notesTable, "id")), Opaque: true},
	}}
}

func (l *songLoader) Related() []driver.Related { return l.related }

func (l *songLoader) WithRelations(...string) driver.Loader[song] { return l }

func (l *songLoader) RelatedKeys(row *song, related int) []driver.Key {
	switch {
	case related == relDiscs && row.Shown != nil:
		return []driver.Key{key(row.Shown.ID), key(row.Shown.ID)} // twice, as is allowed
	case related == relSongs && row.Original != 0:
		return []driver.Key{key(row.Original)}
	case related == relTags:
		return changeOf(tagsTable, row.Tags...).Keys
	}
	return nil
}

func (l *songLoader) Referrers(ctx context.Context, related int, keys []driver.Key, limit int) ([]driver.Key, error) {
	l.lib.mu.Lock()
	l.lib.asked++
	err := l.lib.fail
	l.lib.mu.Unlock()
	if err != nil {
		return nil, err
	}
	state := l.lib.seen(ctx)
	runtime.Gosched() // a moment in which others commit
	var owners []driver.Key
	if related == relTags {
		for id, on := range state.tags {
			if slices.Contains(keys, key(id)) && len(owners) <= limit {
				owners = append(owners, key(on))
			}
		}
		return owners, nil
	}
	for _, s := range state.songs {
		to := s.Disc
		if related == relSongs {
			to = s.Original
		}
		if slices.Contains(keys, key(to)) && len(owners) <= limit {
			owners = append(owners, key(s.ID))
		}
	}
	return owners, nil
}

func (l *songLoader) Snapshot(context.Context) (driver.Snapshot, error) {
	state := l.lib.seen(context.Background())
	l.lib.mu.Lock()
	after := l.lib.after
	l.lib.after = nil
	l.lib.mu.Unlock()
	if after != nil {
		after()
	}
	return librarySnapshot{state}, nil
}

// librarySnapshot is a state of the library that a context carries.
type librarySnapshot struct{ state any }

func (s librarySnapshot) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, libraryKey{}, s.state)
}

func (librarySnapshot) Close() {}

func (l *songLoader) Load(ctx context.Context, keys []driver.Key) ([]*song, error) {
	l.lib.mu.Lock()
	l.lib.reads++
	l.lib.keys += len(keys)
	l.lib.mu.Unlock()
	state := l.lib.seen(ctx)
	runtime.Gosched()
	return state.read(func(s song) bool { return keys == nil || slices.Contains(keys, key(s.ID)) }), nil
}

// read is what a query would be.
func (s libraryState) read(keep func(song) bool) []*song {
	var out []*song
	for _, id := range slices.Sorted(maps.Keys(s.songs)) {
		row := s.songs[id]
		if d, ok := s.discs[row.Disc]; ok {
			row.Shown = &d
		}
		row.First, row.Notes = s.songs[row.Original].Name, s.notes
		for _, tag := range slices.Sorted(maps.Keys(s.tags)) {
			if s.tags[tag] == id {
				row.Tags = append(row.Tags, tag)
			}
		}
		if keep(row) {
			out = append(out, &row)
		}
	}
	return out
}

// libraryRig is a registry over songs, filled with three on two discs; the third
// is a cover of the first.
func newLibrary(t fatalTester, cfg core.Config) (*rig, *songLibrary, *songLoader) {
	r := newItems(t, cfg)
	lib := &songLibrary{}
	lib.commit(func(s *libraryState) {
		s.discs = map[int]disc{1: {1, "one"}, 2: {2, "two"}}
		s.songs = map[int]song{1: {ID: 1, Name: "a", Disc: 1}, 2: {ID: 2, Name: "b", Disc: 2}, 3: {ID: 3, Name: "c", Disc: 1, Original: 1}}
	})
	return r, lib, newSongs(lib)
}

func changeOf(table driver.Table, ids ...int) driver.Change {
	c := driver.Change{Table: table, Keys: []driver.Key{}}
	for _, id := range ids {
		c.Keys = append(c.Keys, key(id))
	}
	return c
}

func encoded(t fatalTester, rows []*song) string {
	var b []byte
	for _, r := range rows {
		js, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%v", err)
		}
		b = append(append(b, js...), '\n')
	}
	return string(b)
}

func heldSongs(v *live.View) string {
	var b strings.Builder
	for r := range v.Snapshot().Rows() {
		b.Write(r.JSON())
		b.WriteByte('\n')
	}
	return b.String()
}

// TestRelatedRowsMoveTheRowsThatShowThem changes related rows, and nothing but
// reports of their own table tells of it.
func TestRelatedRowsMoveTheRowsThatShowThem(t *testing.T) {
	r, lib, songs := newLibrary(t, core.Config{})
	b := core.Bind("songs", songs)
	r.start(t, b)
	defer r.stop(t)
	step := func(what string, wantKeys int, change func(s *libraryState), changes ...driver.Change) {
		t.Helper()
		lib.commit(change)
		before := lib.keys
		r.report(t, changes...)
		if got, want := heldSongs(b.View), encoded(t, lib.state.read(func(song) bool { return true })); got != want {
			t.Errorf("%s: got\n%swant\n%s", what, got, want)
		}
		if n := lib.keys - before; n != wantKeys {
			t.Errorf("%s: %d rows were read by key, want %d", what, n, wantKeys)
		}
		if _, err := core.CheckShown(r.reg); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	step("a disc is renamed", 2, func(s *libraryState) { s.discs[1] = disc{1, "uno"} }, changeOf(discsTable, 1))
	step("a song moves to another disc", 1, func(s *libraryState) { s.songs[2] = song{ID: 2, Name: "b", Disc: 1} }, changeOf(songsTable, 2))
	step("which is renamed", 3, func(s *libraryState) { s.discs[1] = disc{1, "eins"} }, changeOf(discsTable, 1))
	step("the other shows nowhere any more", 0, func(s *libraryState) { s.discs[2] = disc{2, "zwei"} }, changeOf(discsTable, 2))
	step("a disc goes", 3, func(s *libraryState) { delete(s.discs, 1) }, changeOf(discsTable, 1))
	step("and comes back", 3, func(s *libraryState) { s.discs[1] = disc{1, "un"} }, changeOf(discsTable, 1))
	step("a song is renamed of which there is a cover", 2, func(s *libraryState) { s.songs[1] = song{ID: 1, Name: "A", Disc: 1} }, changeOf(songsTable, 1))
	step("a tag comes", 1, func(s *libraryState) { s.tags[1] = 1 }, changeOf(tagsTable, 1))
	step("and moves", 2, func(s *libraryState) { s.tags[1] = 2 }, changeOf(tagsTable, 1))
	step("and goes", 1, func(s *libraryState) { delete(s.tags, 1) }, changeOf(tagsTable, 1))
	step("a note comes", 0, func(s *libraryState) { s.notes++ }, changeOf(notesTable, 1))
	step("nothing comes", 0, func(*libraryState) {}, changeOf(notesTable), changeOf(discsTable))
	step("all discs", 0, func(s *libraryState) { s.discs[1] = disc{1, "i"} }, driver.Change{Table: discsTable})
	step("all tables", 0, func(s *libraryState) { s.discs[1] = disc{1, "ii"} }, driver.Change{})
	step("no key of the table", 0, func(*libraryState) {}, driver.Change{Table: discsTable, Keys: []driver.Key{driver.KeyOf("x"), driver.KeyOf(1, 2)}})
	step("of another kind", 3, func(s *libraryState) { s.discs[1] = disc{1, "iii"} }, driver.Change{Table: discsTable, Keys: []driver.Key{driver.KeyOf("1")}})
}

// TestRelatedRowsConcernWhoShowsThem reads nothing for bindings that show no
// other rows.
func TestRelatedRowsConcernWhoShowsThem(t *testing.T) {
	r, lib, songs := newLibrary(t, core.Config{})
	plain := coretest.NewTable[sale]("songs", "id")
	b := core.Bind("songs", songs)
	r.start(t, b, core.Bind("plain", plain), core.Bind("ones", songs, core.Where(filter.Eq("disc", 1))))
	defer r.stop(t)
	before, _ := plain.Reads()
	lib.commit(func(s *libraryState) { s.discs[1] = disc{1, "uno"} })
	r.report(t, changeOf(discsTable, 1), driver.Change{Table: discsTable}, changeOf(notesTable, 1))
	if after, _ := plain.Reads(); after != before {
		t.Errorf("a binding without related rows was read %d times", after-before)
	}
	if s, _ := b.Get(key(1)); s.Shown.Title != "uno" {
		t.Errorf("song 1 is on %v, want uno", s.Shown)
	}
	if err := r.reg.Remove(r.ctx, "songs"); err != nil {
		t.Fatal(err)
	}
	r.report(t, changeOf(songsTable, 1))
	if links, err := core.CheckShown(r.reg); links != 2 || err != nil {
		t.Errorf("the songs on disc 1 have %d links, %v; want that to the disc and one to a song", links, err)
	}
	if err := r.reg.Remove(r.ctx, "ones"); err != nil {
		t.Fatal(err)
	}
	r.report(t, changeOf(songsTable, 1))
	if links, err := core.CheckShown(r.reg); links != 0 || err != nil {
		t.Errorf("without the bindings there are %d links, %v", links, err)
	}
}

// TestRelatedRowsAreWatched shows sources the related tables, and lets the state
// of a binding depend on them.
func TestRelatedRowsAreWatched(t *testing.T) {
	var log bytes.Buffer
	r, _, songs := newLibrary(t, core.Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	ofSongs, ofDiscs := &scoped{table: songsTable}, &scoped{table: discsTable}
	_ = r.reg.Watch(ofSongs, ofDiscs)
	b := core.Bind("songs", songs)
	if err := errors.Join(r.reg.Add(b), r.reg.Start(r.ctx)); err != nil {
		t.Fatal(err)
	}
	defer r.stop(t)
	tables, _ := ofDiscs.Sink().Tables()
	if len(tables) != 1 || tables[0].Table != discsTable || !tables[0].Shown || !slices.Equal(tables[0].Key, []string{"id"}) || len(tables[0].Columns) != 2 {
		t.Errorf("the source of discs is shown %+v", tables)
	}
	if st := b.Status(); st.State != status.Live {
		t.Errorf("the binding is %v, want live", st.State)
	}
	ofDiscs.Sink().Lost(errors.New("asleep"))
	if st := b.Status(); st.State != status.Stale || st.Err == nil || !strings.Contains(st.Err.Error(), "asleep") {
		t.Errorf("without the source of discs the binding is %v, %v, want stale", st.State, st.Err)
	}
	if !strings.Contains(log.String(), "no source watches a table whose rows the binding shows") || !strings.Contains(log.String(), "table=notes") {
		t.Errorf("nobody is told that nobody watches the notes:\n%s", &log)
	}
}

func TestRelatedRowsNeedOneKey(t *testing.T) {
	r, _, songs := newLibrary(t, core.Config{})
	songs.related[relDiscs].Schema.Key = []string{"id", "title"}
	songs.related[relNotes].Schema.Key = nil
	discs := coretest.NewTable[disc]("discs", "id")
	_ = r.reg.Add(core.Bind("songs", songs), core.Bind("discs", discs))
	err := r.reg.Start(r.ctx)
	wantErr(t, err, `shows rows of table "discs" by the key ["id" "title"]`, `binding "discs"`, `by the key ["id"]: give the table one key`,
		`related rows: table "notes" has no key`)

	r = newItems(t, core.Config{})
	_ = r.reg.Add(core.Bind("items", r.table, core.ForLoader(driver.Terms{Relations: []string{"x"}})), core.Bind("more", r.table, core.ForLoader(driver.Terms{})))
	err = r.reg.Start(r.ctx)
	wantErr(t, err, `its loader cannot (driver.RelationLoader)`, `no condition, and no relation`)
}

// TestRelatedRowsAreAskedForAgain fails to find owners, and does not forget what
// was reported.
func TestRelatedRowsAreAskedForAgain(t *testing.T) {
	failures := make(errorLog, 100)
	r, lib, songs := newLibrary(t, core.Config{Logger: slog.New(failures)})
	b := core.Bind("songs", songs)
	r.start(t, b)
	defer r.stop(t)
	lib.commit(func(s *libraryState) { s.discs[1] = disc{1, "uno"} })
	lib.mu.Lock()
	lib.fail = errors.New("no owners today")
	lib.mu.Unlock()
	receipt := r.source.Sink().Report(changeOf(discsTable, 1))
	// The status has it for a moment, until all songs are read.
	select {
	case err := <-failures:
		if !strings.Contains(err.Error(), "no owners today") || !strings.Contains(err.Error(), `table "discs"`) {
			t.Errorf("the log says %v", err)
		}
	case <-r.ctx.Done():
		t.Fatal("the failure does not show")
	}
	lib.mu.Lock()
	lib.fail = nil
	lib.mu.Unlock()
	if err := receipt.Wait(r.ctx); err != nil {
		t.Fatal(err)
	}
	wait(t, "the binding to recover", func() bool { return b.Status().State == status.Live })
	wait(t, "the disc's title", func() bool { s, _ := b.Get(key(1)); return s.Shown.Title == "uno" })
}

// errorLog gives the errors of what is logged.
type errorLog chan error

func (errorLog) Enabled(context.Context, slog.Level) bool { return true }
func (l errorLog) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l errorLog) WithGroup(string) slog.Handler          { return l }

func (l errorLog) Handle(_ context.Context, rec slog.Record) error {
	rec.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok {
			l <- err
		}
		return true
	})
	return nil
}

// TestRelatedRowsFollowRandomCommits holds bindings of all sorts against their
// queries, whatever is committed and however it is reported.
func TestRelatedRowsFollowRandomCommits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := core.Config{MaxBatchKeys: rapid.SampledFrom([]int{0, 2, 4}).Draw(t, "max batch keys")} // 0: the default
		r, lib, songs := newLibrary(t, cfg)
		type query struct {
			view *live.View
			want func(s libraryState) string
		}
		var queries []query
		var all []core.Bindable
		add := func(keep func(song) bool, less func(a, b *song) int, limit int, opts ...core.Option) {
			b := core.Bind(fmt.Sprintf("b%d", len(all)), songs, opts...)
			all = append(all, b)
			queries = append(queries, query{b.View, func(s libraryState) string {
				rows := s.read(keep)
				if less != nil {
					slices.SortFunc(rows, less)
				}
				if limit > 0 {
					rows = rows[:min(limit, len(rows))]
				}
				return encoded(t, rows)
			}})
		}
		every := func(song) bool { return true }
		add(every, nil, 0)
		byName := func(a, b *song) int {
			if c := strings.Compare(b.Name, a.Name); c != 0 {
				return c
			}
			return a.ID - b.ID
		}
		add(every, byName, 2, core.OrderBy("-name"), core.Limit(2), core.Tune(core.Tuning{Margin: 1}))
		add(func(s song) bool { return s.Name == "x1" }, nil, 0, core.Where(filter.Eq("name", "x1")))
		for d := range rapid.SampledFrom([]int{1, 8}).Draw(t, "discs bound") {
			add(func(s song) bool { return s.Disc == d }, nil, 0, core.Where(filter.Eq("disc", d)), core.Columns("id", "name"))
			q := &queries[len(queries)-1]
			q.want = func(s libraryState) string {
				var b strings.Builder
				for _, row := range s.read(func(s song) bool { return s.Disc == d }) {
					fmt.Fprintf(&b, "{\"id\":%d,\"name\":%q}\n", row.ID, row.Name)
				}
				return b.String()
			}
		}
		r.start(t, all...)
		defer r.stop(t)

		id := rapid.IntRange(1, 5)
		for range rapid.IntRange(1, 8).Draw(t, "commits") {
			changed := map[driver.Table][]int{}
			// Drawn first, committed later: an announcement knows the keys before.
			next := lib.state.with(func(s *libraryState) {
				for range rapid.IntRange(1, 4).Draw(t, "changes") {
					n := id.Draw(t, "id")
					name := fmt.Sprintf("x%d", rapid.IntRange(0, 3).Draw(t, "name"))
					switch rapid.IntRange(0, 7).Draw(t, "kind") {
					case 4:
						delete(s.tags, n)
						changed[tagsTable] = append(changed[tagsTable], n)
					case 5:
						s.tags[n] = id.Draw(t, "song")
						changed[tagsTable] = append(changed[tagsTable], n)
					case 0:
						delete(s.discs, n)
						changed[discsTable] = append(changed[discsTable], n)
					case 1:
						s.discs[n] = disc{n, name}
						changed[discsTable] = append(changed[discsTable], n)
					case 2:
						delete(s.songs, n)
						changed[songsTable] = append(changed[songsTable], n)
					case 3:
						s.notes++
						changed[notesTable] = append(changed[notesTable], n)
					default:
						s.songs[n] = song{ID: n, Name: name, Disc: id.Draw(t, "disc"), Original: rapid.IntRange(0, 5).Draw(t, "original")}
						changed[songsTable] = append(changed[songsTable], n)
					}
				}
			})
			var changes, vague []driver.Change
			for _, table := range []driver.Table{songsTable, discsTable, tagsTable, notesTable} {
				ids, ok := changed[table]
				if !ok {
					continue
				}
				c := changeOf(table, ids...)
				if rapid.IntRange(0, 9).Draw(t, "whole") == 0 {
					c.Keys = nil
				}
				changes = append(changes, c)
				vague = append(vague, driver.Change{Table: table})
			}
			commit := func() { lib.commit(func(s *libraryState) { *s = next }) }
			switch rapid.IntRange(0, 2).Draw(t, "how") {
			case 0:
				commit()
				r.report(t, changes...)
			case 1:
				a := r.source.Sink().Announce(changes...)
				commit()
				if err := a.Confirm().Wait(r.ctx); err != nil {
					t.Fatalf("%v", err)
				}
			case 2:
				a := r.source.Sink().Announce(vague...)
				commit()
				if err := a.Confirm(changes...).Wait(r.ctx); err != nil {
					t.Fatalf("%v", err)
				}
			}
			for _, q := range queries {
				if got, want := heldSongs(q.view), q.want(next); got != want {
					t.Fatalf("%s after %v:\ngot\n%swant\n%s", q.view.Name(), changed, got, want)
				}
			}
			if _, err := core.CheckShown(r.reg); err != nil {
				t.Fatalf("%v", err)
			}
			if err := core.CheckHeld(r.ctx, r.reg); err != nil {
				t.Fatalf("%v", err)
			}
		}
	})
}

// TestRelatedRowsAreFoundInTheSnapshot moves a tag on while it is being read where
// it has moved to.
func TestRelatedRowsAreFoundInTheSnapshot(t *testing.T) {
	r, lib, songs := newLibrary(t, core.Config{})
	lib.commit(func(s *libraryState) { s.tags[1] = 1 })
	b := core.Bind("songs", songs)
	seen := &versions{check: func() error {
		n := 0
		for s := range b.All() {
			n += len(s.Tags)
		}
		if n != 1 {
			return fmt.Errorf("the tag is there %d times", n)
		}
		return nil
	}}
	_ = r.reg.Use(seen)
	r.start(t, b)
	defer r.stop(t)
	lib.commit(func(s *libraryState) { s.tags[1] = 2 })
	lib.mu.Lock()
	lib.after = func() {
		a := r.source.Sink().Announce(changeOf(tagsTable, 1))
		lib.commit(func(s *libraryState) { s.tags[1] = 3 })
		a.Confirm()
	}
	lib.mu.Unlock()
	r.report(t, changeOf(tagsTable, 1))
	if err := r.reg.Flush(r.ctx); err != nil {
		t.Fatal(err)
	}
	if s, _ := b.Get(key(3)); seen.err != nil || len(s.Tags) != 1 {
		t.Errorf("%v; song 3 has tags %v, want one", seen.err, s.Tags)
	}
}

// TestRelatedRowsWhoseKeysComeLate has a commit under way whose keys do not come:
// what shows its rows is read as a whole.
func TestRelatedRowsWhoseKeysComeLate(t *testing.T) {
	r, lib, songs := newLibrary(t, core.Config{AnnounceWait: time.Millisecond})
	b := core.Bind("songs", songs)
	r.start(t, b)
	defer r.stop(t)
	a := r.source.Sink().Announce(driver.Change{Table: discsTable})
	lib.commit(func(s *libraryState) { s.discs[1] = disc{1, "uno"} })
	r.report(t, changeOf(songsTable, 3))
	for s := range b.All() {
		if s.Disc == 1 && s.Shown.Title != "uno" {
			t.Errorf("song %d is on %s, want uno, as song 3 is", s.ID, s.Shown.Title)
		}
	}
	if err := a.Confirm(changeOf(discsTable, 1)).Wait(r.ctx); err != nil {
		t.Fatal(err)
	}
}

// TestRelatedRowsAndWholeTransactions renames all discs at once and moves tags
// from song to song, while songs change by themselves: no version shows two names of
// discs, or a tag nowhere or twice.
func TestRelatedRowsAndWholeTransactions(t *testing.T) {
	const nSongs, nDiscs, nTags = 12, 3, 6
	r, lib, songs := newLibrary(t, core.Config{})
	lib.commit(func(s *libraryState) {
		s.songs, s.discs = map[int]song{}, map[int]disc{}
		for i := range nSongs {
			s.songs[i+1] = song{ID: i + 1, Disc: 1 + i%nDiscs}
		}
		for i := range nDiscs {
			s.discs[i+1] = disc{i + 1, "n"}
		}
		for i := range nTags {
			s.tags[i+1] = i + 1
		}
	})
	b := core.Bind("songs", songs)
	seen := &versions{check: func() error {
		title, tags := "", map[int]bool{}
		for s := range b.All() {
			if title != "" && s.Shown.Title != title {
				return fmt.Errorf("discs are named %s and %s", title, s.Shown.Title)
			}
			title = s.Shown.Title
			for _, tag := range s.Tags {
				if tags[tag] {
					return fmt.Errorf("tag %d is there twice", tag)
				}
				tags[tag] = true
			}
		}
		if len(tags) != nTags {
			return fmt.Errorf("%d tags are there, want %d", len(tags), nTags)
		}
		return nil
	}}
	_ = r.reg.Use(seen)
	r.start(t, b)
	defer r.stop(t)
	var writers sync.WaitGroup
	write := func(seed uint64, change func(rng *rand.Rand, s *libraryState) driver.Change) {
		writers.Go(func() {
			for i := range 400 {
				again := func() *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(i))) }
				// What a transaction changes is known before its commit, or only after it.
				c := change(again(), &libraryState{songs: map[int]song{}, discs: map[int]disc{}, tags: map[int]int{}})
				announced := c
				if i%3 == 0 {
					announced.Keys = nil
				}
				a := r.source.Sink().Announce(announced)
				runtime.Gosched()
				lib.commit(func(s *libraryState) { change(again(), s) })
				runtime.Gosched()
				a.Confirm(c)
			}
		})
	}
	write(1, func(rng *rand.Rand, s *libraryState) driver.Change {
		name := fmt.Sprint("n", rng.IntN(1000))
		for i := range nDiscs {
			s.discs[i+1] = disc{i + 1, name}
		}
		return changeOf(discsTable, 1, 2, 3)
	})
	for seed := range uint64(2) {
		write(2+seed, func(rng *rand.Rand, s *libraryState) driver.Change {
			tag := 1 + rng.IntN(nTags)
			s.tags[tag] = 1 + rng.IntN(nSongs)
			return changeOf(tagsTable, tag)
		})
	}
	write(4, func(rng *rand.Rand, s *libraryState) driver.Change {
		id := 1 + rng.IntN(nSongs)
		s.songs[id] = song{ID: id, Name: fmt.Sprint("x", rng.IntN(100)), Disc: 1 + rng.IntN(nDiscs)}
		return changeOf(songsTable, id)
	})
	writers.Wait()
	if err := r.reg.Flush(r.ctx); err != nil {
		t.Fatal(err)
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if seen.n < 3 { // on a busy machine many changes share one
		t.Errorf("only %d versions were seen", seen.n)
	}
	if seen.err != nil {
		t.Errorf("one of %d versions is torn: %v", seen.n, seen.err)
	}
	if got, want := heldSongs(b.View), encoded(t, lib.state.read(func(song) bool { return true })); got != want {
		t.Errorf("in the end: got\n%swant\n%s", got, want)
	}
}

// versions looks at every version.
type versions struct {
	check func() error

	mu  sync.Mutex // guards what follows
	n   int
	err error
}

func (*versions) Name() string                                { return "versions" }
func (*versions) Start(context.Context, *core.Registry) error { return nil }
func (*versions) Shutdown(context.Context) error              { return nil }

func (v *versions) Published(*live.View, *live.Event) {
	err := v.check()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.n++
	if v.err == nil {
		v.err = err
	}
}
