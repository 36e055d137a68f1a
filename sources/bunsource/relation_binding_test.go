package bunsource

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/sources/pgsource"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
	"github.com/binderyhq/bindery/sources/sqlitesource"
)

// relWorld is a database that a registry watches and others write to.
type relWorld struct {
	plain   *bun.DB // of which nobody sees what it writes, unless a source does
	db      *bun.DB // that the bindings are over
	writer  *bun.DB // whose writes the sources see
	sources []driver.Source
}

// eachWorld runs a test with every kind of source that knows keys.
func eachWorld(t *testing.T, test func(t *testing.T, w relWorld)) {
	openedSQLite := func(t *testing.T) (dsn string, plain *bun.DB) {
		dsn = "file:" + filepath.Join(t.TempDir(), "test.db") + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_txlock=immediate"
		return dsn, openedPlain(t, "sqlite", dsn)
	}
	t.Run("sqlite hooks", func(t *testing.T) {
		dsn, plain := openedSQLite(t)
		db, err := Open("sqlite", dsn, sqlitedialect.New())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		test(t, relWorld{plain: plain, db: db, writer: db, sources: []driver.Source{Hooks(db)}})
	})
	t.Run("sqlitesource", func(t *testing.T) {
		dsn, plain := openedSQLite(t)
		source, err := sqlitesource.New(dsn)
		if err != nil {
			t.Fatal(err)
		}
		sqldb := sql.OpenDB(source.Connector())
		t.Cleanup(func() { _ = sqldb.Close() })
		db := bun.NewDB(sqldb, sqlitedialect.New())
		test(t, relWorld{plain: plain, db: db, writer: db, sources: []driver.Source{source}})
	})
	t.Run("postgres hooks", func(t *testing.T) {
		dsn := pgtest.Shared(t).CreateDatabase(t)
		db, err := Open("pgx", dsn, pgdialect.New())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		test(t, relWorld{plain: openedPlain(t, "pgx", dsn), db: db, writer: db, sources: []driver.Source{Hooks(db)}})
	})
	t.Run("pgsource", func(t *testing.T) {
		dsn := pgtest.Shared(t).CreateDatabase(t)
		plain := openedPlain(t, "pgx", dsn)
		test(t, relWorld{plain: plain, db: openedPlain(t, "pgx", dsn), writer: plain, sources: []driver.Source{pgsource.New(dsn)}})
	})
}

func openedPlain(t *testing.T, driver, dsn string) *bun.DB {
	t.Helper()
	sqldb, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sqldb.Close() })
	if driver == "sqlite" {
		return bun.NewDB(sqldb, sqlitedialect.New())
	}
	return bun.NewDB(sqldb, pgdialect.New())
}

// serve starts a registry over the bindings, and waits until its sources watch.
func (w *relWorld) serve(t *testing.T, plugin core.Plugin, bindings ...core.Bindable) *core.Registry {
	t.Helper()
	reg := core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry()
	var errs []error
	errs = append(errs, reg.Add(bindings...), reg.Watch(w.sources...))
	if plugin != nil {
		errs = append(errs, reg.Use(plugin))
	}
	if err := errors.Join(append(errs, reg.Start(t.Context()))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := reg.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	within(t, "the sources watch", func() error {
		for _, s := range reg.Status().Sources {
			if !s.Watching {
				return fmt.Errorf("source %q does not watch: %w", s.Name, s.Err)
			}
		}
		return nil
	})
	return reg
}

// within waits until the check passes.
func within(t failing, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute: %v", what, err)
		}
		time.Sleep(time.Millisecond)
	}
}

type failing interface {
	Helper()
	Fatalf(format string, args ...any)
}

// relBinding is a binding, and the query whose result it must be.
type relBinding struct {
	core.Bindable
	view *live.View
	want func(t testing.TB, db *bun.DB) []string
}

func bindRelated[T any](db *bun.DB, name string, names []string, keep func(q *bun.SelectQuery) *bun.SelectQuery, opts ...core.Option) relBinding {
	if len(names) > 0 {
		opts = append(opts, Relation(names...))
	}
	b := Bind[T](db, name, opts...)
	return relBinding{Bindable: b, view: b.View, want: func(t testing.TB, db *bun.DB) []string {
		t.Helper()
		var rows []*T
		q := db.NewSelect().Model(&rows)
		for _, path := range relationPaths(names) {
			q = q.Relation(path)
		}
		if keep != nil {
			q = keep(q)
		}
		if err := q.Scan(t.Context()); err != nil {
			t.Fatal(err)
		}
		return encodeAll(t, NewLoader[T](db), rows)
	}}
}

// held returns what clients are shown, as encodeAll writes it.
func (b *relBinding) held(t testing.TB) []string {
	t.Helper()
	rows := make(map[driver.Key]string)
	var keys []driver.Key
	for r := range b.view.Snapshot().Rows() {
		var v any
		if err := json.Unmarshal(r.JSON(), &v); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(inOrder(v))
		if err != nil {
			t.Fatal(err)
		}
		rows[r.Key()] = string(text)
		keys = append(keys, r.Key())
	}
	slices.Sort(keys)
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = rows[k]
	}
	return out
}

// TestRelationBindingsFollow writes to all tables at random, by key and in bulk,
// links and unlinks rows, and holds every binding against its query.
func TestRelationBindingsFollow(t *testing.T) {
	eachWorld(t, func(t *testing.T, w relWorld) {
		for _, db := range []*bun.DB{w.plain, w.db} {
			db.RegisterModel((*relPlaylistTrack)(nil))
		}
		library(t, w.plain)
		bindings := []relBinding{
			bindRelated[relTrack](w.db, "plain", nil, nil),
			bindRelated[relTrack](w.db, "tracks", []string{"Album.Artist", "Album.Cover", "Playlists"}, nil),
			bindRelated[relTrack](w.db, "odd", []string{"Album.Artist"},
				func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("tr.name = 'x1'") }, core.Where(filter.Eq("name", "x1"))),
			bindRelated[relTrack](w.db, "first", []string{"Album"},
				func(q *bun.SelectQuery) *bun.SelectQuery { return q.OrderExpr("tr.name DESC, tr.id").Limit(2) },
				core.OrderBy("-name"), core.Limit(2)),
			bindRelated[relTrack](w.db, "known", []string{"Album"},
				func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where(`"album"."artist_id" = 1`) },
				Where(func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where(`"album"."artist_id" = 1`) })),
			bindRelated[relArtist](w.db, "artists", []string{"Albums.Tracks.Playlists"}, nil),
			bindRelated[relPlaylist](w.db, "playlists", []string{"Parent.Tracks", "Children.Tracks.Album"}, nil),
		}
		var all []core.Bindable
		for _, b := range bindings {
			all = append(all, b)
		}
		reg := w.serve(t, nil, all...)
		tables := []string{"artists", "albums", "covers", "tracks", "playlists", "playlist_tracks"}

		rapid.Check(t, func(rt *rapid.T) {
			for _, table := range tables {
				mustExec(t, w.writer, "DELETE FROM "+table)
			}
			for range rapid.IntRange(1, 6).Draw(rt, "transactions") {
				err := w.writer.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
					for range rapid.IntRange(1, 4).Draw(rt, "statements") {
						if err := randomWrite(ctx, rt, tx); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				within(rt, "the bindings are their queries", func() error {
					if err := reg.Flush(t.Context()); err != nil {
						return err
					}
					for _, b := range bindings {
						if got, want := b.held(t), b.want(t, w.plain); !slices.Equal(got, want) {
							return fmt.Errorf("binding %q:\n got %s\nwant %s", b.view.Name(), strings.Join(got, "\n     "), strings.Join(want, "\n     "))
						}
					}
					return nil
				})
			}
		})

		// Nothing but the rows decides what versions are called: read anew they have
		// the same names.
		for _, b := range bindings {
			before := b.view.Version()
			if err := reg.Clear(t.Context(), b.view); err != nil {
				t.Fatal(err)
			}
			if after := b.view.Version(); after.Token != before.Token {
				t.Errorf("binding %q is at %s, and read anew at %s", b.view.Name(), before.Token, after.Token)
			}
		}
	})
}

func randomWrite(ctx context.Context, rt *rapid.T, tx bun.Tx) error {
	id := func(what string) int { return rapid.IntRange(1, 4).Draw(rt, what) }
	link := func(what string) any {
		if n := rapid.IntRange(0, 4).Draw(rt, what); n > 0 {
			return n
		}
		return nil
	}
	name := func() string { return fmt.Sprintf("x%d", rapid.IntRange(0, 2).Draw(rt, "name")) }
	tables := []string{"artists", "albums", "covers", "tracks", "playlists", "playlist_tracks"}
	var query string
	var args []any
	switch table := rapid.SampledFrom(tables).Draw(rt, "table"); rapid.IntRange(0, 6).Draw(rt, "kind") {
	case 0: // delete
		if table == "playlist_tracks" {
			query, args = "DELETE FROM playlist_tracks WHERE playlist_id = ? AND track_id = ?", []any{id("playlist"), id("track")}
		} else {
			query, args = "DELETE FROM ? WHERE id = ?", []any{bun.Ident(table), id("id")}
		}
	case 1: // in bulk
		switch table {
		case "playlist_tracks":
			query, args = "DELETE FROM playlist_tracks WHERE track_id > ?", []any{id("track")}
		case "albums":
			query, args = "UPDATE albums SET artist_id = ? WHERE title = ?", []any{link("artist"), name()}
		case "tracks":
			query, args = "UPDATE tracks SET album_id = ? WHERE name = ?", []any{link("album"), name()}
		case "covers":
			query, args = "DELETE FROM covers WHERE album_id > ?", []any{id("album")}
		default:
			query, args = "UPDATE ? SET name = ?", []any{bun.Ident(table), name()}
		}
	case 2: // (un)delete softly
		var at any
		if rapid.Bool().Draw(rt, "gone") {
			at = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		query, args = "UPDATE albums SET deleted_at = ? WHERE id = ?", []any{at, id("id")}
	default: // insert or change
		switch table {
		case "artists":
			query = "INSERT INTO artists (id, name) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name"
			args = []any{id("id"), name()}
		case "albums":
			query = "INSERT INTO albums (id, title, artist_id) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET title = excluded.title, artist_id = excluded.artist_id"
			args = []any{id("id"), name(), link("artist")}
		case "covers": // one for each album
			n := id("id")
			query = "INSERT INTO covers (id, album_id, taken) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET taken = excluded.taken"
			args = []any{n, n, time.Date(2024, 1, id("day"), 0, 0, 0, 0, time.UTC)}
		case "tracks":
			query = "INSERT INTO tracks (id, name, album_id) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name, album_id = excluded.album_id"
			args = []any{id("id"), name(), link("album")}
		case "playlists":
			query = "INSERT INTO playlists (id, name, parent_id) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name, parent_id = excluded.parent_id"
			args = []any{id("id"), name(), link("parent")}
		default:
			query = "INSERT INTO playlist_tracks (playlist_id, track_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
			args = []any{id("playlist"), id("track")}
		}
	}
	_, err := tx.ExecContext(ctx, query, args...)
	return err
}

// relWitness looks at every version that is published.
type relWitness struct {
	check func(*live.View) error

	mu       sync.Mutex // guards what follows
	versions int
	torn     error
}

func (*relWitness) Name() string                                { return "witness" }
func (*relWitness) Start(context.Context, *core.Registry) error { return nil }
func (*relWitness) Shutdown(context.Context) error              { return nil }

func (w *relWitness) Published(v *live.View, _ *live.Event) {
	err := w.check(v)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.versions++
	if err != nil && w.torn == nil {
		w.torn = fmt.Errorf("binding %q: %w", v.Name(), err)
	}
}

func (w *relWitness) seen() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.versions
}

// TestRelationBindingsShowWholeTransactions changes an album and its tracks in
// one transaction, moves tracks between albums, and renames them to match, while the
// artist of all is renamed by statements of their own: no version shows a track
// under another name than its album's, or two names of the artist.
func TestRelationBindingsShowWholeTransactions(t *testing.T) {
	eachWorld(t, func(t *testing.T, w relWorld) {
		for _, db := range []*bun.DB{w.plain, w.db} {
			db.RegisterModel((*relPlaylistTrack)(nil))
		}
		library(t, w.plain)
		mustExec(t, w.plain, `INSERT INTO artists (id, name) VALUES (1, 'a')`)
		for i := range 4 {
			mustExec(t, w.plain, `INSERT INTO albums (id, title, artist_id) VALUES (?, 'n0', 1)`, i+1)
			for j := range 3 {
				mustExec(t, w.plain, `INSERT INTO tracks (id, name, album_id) VALUES (?, 'n0', ?)`, 3*i+j+1, i+1)
			}
		}
		tracks := Bind[relTrack](w.db, "tracks", Relation("Album.Artist"))
		albums := Bind[relAlbum](w.db, "albums", Relation("Tracks"))
		witness := &relWitness{check: func(v *live.View) error {
			switch v {
			case tracks.View:
				titles, artist := make(map[int64]string), ""
				for tr := range tracks.All() {
					if now := tr.Album.Artist.Name; artist != "" && now != artist {
						return fmt.Errorf("the artist is named %s and %s", artist, now)
					}
					artist = tr.Album.Artist.Name
					title, seen := titles[tr.Album.ID]
					if tr.Name != tr.Album.Title || seen && title != tr.Album.Title {
						return fmt.Errorf("track %d is named %s in album %d, which is named %s and %s", tr.ID, tr.Name, tr.Album.ID, tr.Album.Title, title)
					}
					titles[tr.Album.ID] = tr.Album.Title
				}
			case albums.View:
				n := 0
				for al := range albums.All() {
					for _, tr := range al.Tracks {
						if n++; tr.Name != al.Title {
							return fmt.Errorf("album %d is named %s and has a track named %s", al.ID, al.Title, tr.Name)
						}
					}
				}
				if n != 12 {
					return fmt.Errorf("%d tracks are on albums, want 12", n)
				}
			}
			return nil
		}}
		reg := w.serve(t, witness, tracks, albums)
		var writers sync.WaitGroup
		for seed := range 2 {
			rng := rand.New(rand.NewPCG(uint64(seed), 5))
			writers.Go(func() {
				for i := 0; i < 40 || witness.seen() < 20; i++ { // within the test's own time
					album, track := 1+rng.IntN(4), 1+rng.IntN(12)
					name := fmt.Sprintf("n%d-%d", seed, i)
					err := w.writer.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
						// One album first, so that writers take turns on both databases.
						statements := []struct {
							query string
							args  []any
						}{
							{"UPDATE albums SET title = title WHERE id = 1", nil},
							{"UPDATE albums SET title = ? WHERE id = ?", []any{name, album}},
							{"UPDATE tracks SET album_id = ? WHERE id = ?", []any{album, track}},
							{"UPDATE tracks SET name = ? WHERE album_id = ?", []any{name, album}},
						}
						for _, s := range statements {
							if _, err := tx.ExecContext(ctx, s.query, s.args...); err != nil {
								return err
							}
						}
						return nil
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		writers.Go(func() { // one row, and yet all tracks
			for i := 0; i < 40 || witness.seen() < 20; i++ {
				if _, err := w.writer.ExecContext(t.Context(), "UPDATE artists SET name = ? WHERE id = 1", fmt.Sprint("a", i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
		writers.Wait()
		within(t, "the bindings have caught up", func() error {
			if err := reg.Flush(t.Context()); err != nil {
				return err
			}
			var title string
			if err := w.plain.NewSelect().Table("albums").Column("title").Where("id = 1").Scan(t.Context(), &title); err != nil {
				return err
			}
			if al, _ := albums.Get(driver.KeyOf(1)); al.Title != title {
				return fmt.Errorf("album 1 is named %s, the binding has %s", title, al.Title)
			}
			return nil
		})
		witness.mu.Lock()
		defer witness.mu.Unlock()
		if witness.torn != nil {
			t.Errorf("one of %d versions is torn: %v", witness.versions, witness.torn)
		}
	})
}

// TestRelationBindingsAreWritten writes through a binding that shows related rows:
// its own columns are written, what they relate to shows at once, and related
// rows are no columns.
func TestRelationBindingsAreWritten(t *testing.T) {
	eachWorld(t, func(t *testing.T, w relWorld) {
		for _, db := range []*bun.DB{w.plain, w.db} {
			db.RegisterModel((*relPlaylistTrack)(nil))
		}
		library(t, w.plain)
		mustExec(t, w.plain, `INSERT INTO albums (id, title) VALUES (1, 'one'), (2, 'two')`)
		tracks := Bind[relTrack](w.db, "tracks", Relation("Album", "Playlists"), core.Writable())
		w.serve(t, nil, tracks)
		write := func(op live.WriteOp, key driver.Key, body string) (live.Row, error) {
			return tracks.Write(t.Context(), live.Write{Op: op, Key: key, Body: []byte(body)})
		}
		show := func(what string, row live.Row, err error, title string) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			var tr relTrack
			if err := json.Unmarshal(row.JSON(), &tr); err != nil {
				t.Fatal(err)
			}
			held, ok := tracks.Get(row.Key())
			if tr.Album == nil || tr.Album.Title != title || !ok || held.Album == nil || held.Album.Title != title {
				t.Errorf("%s: the answer shows album %v, the binding %v, want %s", what, tr.Album, held.Album, title)
			}
		}
		row, err := write(live.Insert, "", `{"Name": "a", "AlbumID": 1}`)
		show("insert", row, err, "one")
		row, err = write(live.Merge, row.Key(), `{"AlbumID": 2}`)
		show("merge", row, err, "two")
		row, err = write(live.Replace, row.Key(), `{"Name": "b", "AlbumID": 1}`)
		show("replace", row, err, "one")
		for _, body := range []string{`{"Album": {"Title": "three"}}`, `{"Playlists": []}`} {
			_, err := write(live.Merge, row.Key(), body)
			var invalid *driver.InvalidError
			if !errors.As(err, &invalid) || len(invalid.Fields) != 1 || !strings.Contains(invalid.Fields[0].Detail, "is no field that can be written") {
				t.Errorf("%s: got error %v, want one that says it is no field that can be written", body, err)
			}
		}
		if _, err := write(live.Delete, row.Key(), ""); err != nil || tracks.Len() != 0 {
			t.Errorf("delete: %v, %d rows are left", err, tracks.Len())
		}
	})
}

// TestRowsThatOthersShowAreAnnounced commits one row, which others show or not: a
// part of the commit can be seen in the first case alone.
func TestRowsThatOthersShowAreAnnounced(t *testing.T) {
	eachWorld(t, func(t *testing.T, w relWorld) {
		if _, follows := w.sources[0].(driver.Follower); follows {
			return // it learns of commits afterwards, and announces none
		}
		createTable(t, w.plain, relArtist{ID: 1, Name: "a"})
		unwrapped := openedLike(w.plain)
		for name, c := range map[string]struct {
			source driver.Source
			db     *bun.DB
		}{
			"source":    {w.sources[0], w.writer},
			"hook only": {Hooks(unwrapped), unwrapped},
		} {
			for _, shown := range []bool{false, true} {
				schema, err := NewLoader[relArtist](w.plain).Schema()
				if err != nil {
					t.Fatal(err)
				}
				schema.Shown = shown
				sink := &coretest.Sink{Schemas: []driver.Schema{schema}}
				ctx, cancel := context.WithCancel(t.Context())
				var watching sync.WaitGroup
				watching.Go(func() { _ = c.source.Watch(ctx, sink) })
				if err := sink.Await(ctx, func(r *coretest.Record) bool { return r.Watching > 0 }); err != nil {
					t.Fatal(err)
				}
				for i, write := range []func() error{
					func() error {
						_, err := c.db.NewUpdate().Model(&relArtist{ID: 1, Name: "b"}).WherePK().Exec(ctx)
						return err
					},
					func() error {
						return c.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
							_, err := tx.NewUpdate().Model(&relArtist{ID: 1, Name: "c"}).WherePK().Exec(ctx)
							return err
						})
					},
				} {
					before := sink.Record()
					if err := write(); err != nil {
						t.Fatal(err)
					}
					after := sink.Record()
					if announced := after.Announced > before.Announced; announced != shown || after.Open > 0 || len(after.Changes) == len(before.Changes) {
						t.Errorf("%s, shown: %v, write %d: announced: %v, %d announcements open, %d changes reported", name, shown, i,
							announced, after.Open, len(after.Changes)-len(before.Changes))
					}
				}
				cancel()
				watching.Wait()
			}
		}
	})
}

// openedLike returns another *bun.DB over the same *sql.DB.
func openedLike(db *bun.DB) *bun.DB { return bun.NewDB(db.DB, db.Dialect()) }
