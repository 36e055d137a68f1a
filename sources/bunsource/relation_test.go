package bunsource

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

func TestRelationsShowWhatBunShows(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		library(t, db)
		mustExec(t, db, `INSERT INTO artists (id, name) VALUES (1, 'AC/DC'), (2, 'Accept'), (3, 'Nobody')`)
		mustExec(t, db, `INSERT INTO albums (id, title, artist_id) VALUES (2, 'Balls', 2), (1, 'Rock', 1), (4, 'Rust', 1), (3, 'Orphan', NULL), (5, 'Dangling', 77)`)
		mustExec(t, db, `INSERT INTO albums (id, title, artist_id, deleted_at) VALUES (6, 'Gone', 1, '2024-01-01 00:00:00+00:00')`)
		mustExec(t, db, `INSERT INTO covers (id, album_id, taken) VALUES (1, 1, '2024-01-01 12:00:00+02:00')`)
		mustExec(t, db, `INSERT INTO tracks (id, name, album_id) VALUES (9, 'nine', 1), (1, 'one', 1), (2, 'two', 2), (3, 'three', NULL), (4, 'four', 6), (5, 'five', 3), (6, 'six', 66)`)
		mustExec(t, db, `INSERT INTO playlists (id, name, parent_id) VALUES (1, 'all', NULL), (2, 'some', 1), (3, 'none', 2)`)
		mustExec(t, db, `INSERT INTO playlist_tracks (playlist_id, track_id) VALUES (1, 9), (1, 1), (1, 2), (2, 9), (2, 3), (1, 88)`)

		showsAsBun[relTrack](t, db, "Album.Artist")
		showsAsBun[relTrack](t, db, "Playlists", "Album.Cover", "Album")
		showsAsBun[relAlbum](t, db, "Artist", "Cover", "Tracks")
		showsAsBun[relAlbum](t, db, "Artist.Albums", "Tracks.Playlists")
		showsAsBun[relArtist](t, db, "Albums.Tracks.Playlists", "Albums.Cover")
		showsAsBun[relPlaylist](t, db, "Tracks.Album.Artist", "Children.Children")
		showsAsBun[relPlaylist](t, db, "Parent.Parent.Tracks", "Parent.Children")
	})
}

func TestRelationsPutChildrenInOrder(t *testing.T) {
	db := loaderSQLite(t, walMode)
	library(t, db)
	mustExec(t, db, `INSERT INTO albums (id, title) VALUES (1, 'Rock')`)
	// An index in which SQLite finds them backwards.
	mustExec(t, db, `CREATE INDEX backwards ON tracks (album_id, id DESC)`)
	for i := range 12 {
		mustExec(t, db, `INSERT INTO tracks (id, name, album_id) VALUES (?, 'x', 1)`, 12-i)
	}
	l := related[relAlbum](t, db, "Tracks")
	for i, tr := range loadAll(t, l)[0].Tracks {
		if tr.ID != int64(i+1) {
			t.Fatalf("track %d comes at place %d", tr.ID, i+1)
		}
	}
}

func TestRelationsInChunks(t *testing.T) {
	db := loaderSQLite(t, walMode)
	library(t, db)
	const n = 2*model.MaxParents + 7
	mustExec(t, db, `INSERT INTO albums (id, title) WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s WHERE n < ?) SELECT n, 'x' FROM s`, n)
	mustExec(t, db, `INSERT INTO tracks (id, name, album_id) SELECT id, 'x', id FROM albums`)
	longest := &longestQuery{}
	l := related[relAlbum](t, db.WithQueryHook(longest), "Tracks")
	rows := loadAll(t, l)
	if len(rows) != n {
		t.Fatalf("got %d rows, want %d", len(rows), n)
	}
	if limit := model.MaxParents*len("1000, ") + 1000; longest.bytes > limit {
		t.Errorf("a statement of %d bytes was run, want at most %d", longest.bytes, limit)
	}
	for _, r := range rows {
		if len(r.Tracks) != 1 {
			t.Fatalf("album %d has tracks %v, want one", r.ID, r.Tracks)
		}
	}
	rows, err := l.Query(t.Context(), driver.Query{Order: []driver.Order{{Column: "title"}, {Column: "id", Desc: true}}, Limit: 3})
	if err != nil || len(rows) != 3 || rows[0].ID != n || rows[2].ID != n-2 || len(rows[0].Tracks) != 1 {
		t.Errorf("the first three from the end are %v, %v", rows, err)
	}
}

// longestQuery knows the length of the longest statement that Bun has run.
type longestQuery struct{ bytes int }

func (*longestQuery) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

func (q *longestQuery) AfterQuery(_ context.Context, e *bun.QueryEvent) {
	q.bytes = max(q.bytes, len(e.Query))
}

// TestRelationsShowTimesInUTC reads a time of a related row that was written in
// another zone.
func TestRelationsShowTimesInUTC(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		library(t, db)
		mustExec(t, db, `INSERT INTO albums (id, title) VALUES (1, 'Rock')`)
		mustExec(t, db, `INSERT INTO tracks (id, name, album_id) VALUES (1, 'x', 1)`)
		mustExec(t, db, `INSERT INTO covers (id, album_id, taken) VALUES (1, 1, '2024-01-01 12:00:00+02:00')`)
		for _, shown := range []any{
			loadAll(t, related[relAlbum](t, db, "Cover"))[0],
			loadAll(t, related[relTrack](t, db, "Album.Cover"))[0],
		} {
			if text, err := json.Marshal(shown); err != nil || !strings.Contains(string(text), `"2024-01-01T10:00:00Z"`) {
				t.Errorf("got %s, %v, want the time in UTC", text, err)
			}
		}
	})
}

// TestRelationsNeedTheirTables prepares a loader of rows that show those of a table
// that is not there.
func TestRelationsNeedTheirTables(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		library(t, db)
		mustExec(t, db, `DROP TABLE playlist_tracks`)
		err := NewLoader[relTrack](db).WithRelations("Album", "Playlists").(*Loader[relTrack]).refine(t.Context())
		if err == nil || !strings.Contains(err.Error(), `relation "Playlists": table "playlist_tracks": it does not exist`) {
			t.Errorf("got error %v, want one that names the relation and the table", err)
		}
	})
}

// TestRelationsWithSeveralOfOne relates albums with one cover to albums with
// several.
func TestRelationsWithSeveralOfOne(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		library(t, db)
		mustExec(t, db, `INSERT INTO albums (id, title) VALUES (1, 'a'), (2, 'b'), (3, 'c')`)
		for i := range 9 {
			mustExec(t, db, `INSERT INTO covers (id, album_id, taken) VALUES (?, ?, '2024-01-01 12:00:00+00:00')`, 9-i, 1+i%2)
		}
		for _, names := range [][]string{{"Cover"}, {"Cover", "Tracks"}} {
			l := related[relAlbum](t, db, names...)
			check := func(what string, rows []*relAlbum, err error, want ...int64) {
				t.Helper()
				var got []int64
				for _, r := range rows {
					got = append(got, r.ID)
					if r.ID != 3 && r.Cover.ID != r.ID {
						t.Errorf("%s: album %d shows cover %d, want %d", what, r.ID, r.Cover.ID, r.ID)
					}
				}
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%s: got albums %v, %v, want %v", what, got, err, want)
				}
			}
			rows, err := l.Load(t.Context(), nil)
			slices.SortFunc(rows, func(a, b *relAlbum) int { return int(a.ID - b.ID) })
			check("all", rows, err, 1, 2, 3)
			order := []driver.Order{{Column: "title", Desc: true}, {Column: "id"}}
			for limit, want := range [][]int64{1: {3}, 2: {3, 2}, 3: {3, 2, 1}, 4: {3, 2, 1}} {
				if limit > 0 {
					rows, err = l.Query(t.Context(), driver.Query{Order: order, Limit: limit})
					check(fmt.Sprint("limit ", limit), rows, err, want...)
				}
			}
		}
	})
}

func TestRelationsThatAreWrong(t *testing.T) {
	db := loaderSQLite(t)
	library(t, db)
	type keyless struct {
		bun.BaseModel `bun:"table:notes"`
		AlbumID       int64
	}
	type noted struct {
		bun.BaseModel `bun:"table:albums"`
		ID            int64      `bun:",pk"`
		Notes         []*keyless `bun:"rel:has-many,join:id=album_id"`
	}
	for _, c := range []struct {
		loader interface {
			Schema() (driver.Schema, error)
			Related() []driver.Related
		}
		want []string
	}{
		{NewLoader[relTrack](db).WithRelations("Albun", "Playlists.Owner", "Album.Artist").(*Loader[relTrack]), []string{
			`relation "Albun": relTrack has no relation of that name (it has: Album, Playlists)`,
			`relation "Playlists.Owner": relPlaylist has no relation of that name (it has: Children, Parent, Tracks)`,
		}},
		{NewLoader[relTrack](db).WithRelations("Albun.Artist").(*Loader[relTrack]), []string{`relation "Albun": `}},
		{NewLoader[relTrack](db).WithRelations("").(*Loader[relTrack]), []string{`relation "": `}},
		{NewLoader[noted](db).WithRelations("Notes").(*Loader[noted]), []string{`relation "Notes": `, `no primary key`}},
	} {
		_, err := c.loader.Schema()
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want one that says %q", err, want)
			}
		}
		if n := len(c.loader.Related()); n != 0 {
			t.Errorf("a loader with an error has %d related tables", n)
		}
	}
}
