package bunsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
)

// TestRelationBindingsFollow writes to all tables at random, by key and in bulk,
// links and unlinks rows, and holds every binding against its query.
func TestRelationBindingsFollow(t *testing.T) {
	t.Parallel()
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

// TestRelationBindingsAreWritten writes through a binding that shows related rows:
// its own columns are written, what they relate to shows at once, and related
// rows are no columns.
func TestRelationBindingsAreWritten(t *testing.T) {
	t.Parallel()
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
