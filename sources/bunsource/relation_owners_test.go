package bunsource

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/uptrace/bun"
	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
)

func TestRelationsOfOneSetShareALoader(t *testing.T) {
	db := loaderSQLite(t)
	library(t, db)
	a := NewLoader[relTrack](db).WithRelations("Album.Artist", "Playlists")
	b := NewLoader[relTrack](db).WithRelations("Playlists").(*Loader[relTrack]).WithRelations("Album", "Album.Artist")
	if a != b {
		t.Error("equal relations make two loaders")
	}
	if c := NewLoader[relTrack](db).WithRelations("Playlists"); a == c {
		t.Error("different relations make one loader")
	}
}

// TestRelationsOwners looks for the rows of related rows that are not there any
// more, that lead nowhere, and that are too many.
func TestRelationsOwners(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		library(t, db)
		mustExec(t, db, `INSERT INTO artists (id, name) VALUES (1, 'a')`)
		mustExec(t, db, `INSERT INTO albums (id, title, artist_id) VALUES (1, 'x', 1), (2, 'y', 1), (3, 'z', 99)`)
		mustExec(t, db, `INSERT INTO tracks (id, name, album_id) VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (4, 'd', 98), (5, 'e', NULL)`)
		mustExec(t, db, `INSERT INTO playlists (id, name) VALUES (1, 'all')`)
		mustExec(t, db, `INSERT INTO playlist_tracks (playlist_id, track_id) VALUES (1, 1), (1, 2), (97, 3)`)
		l := related[relTrack](t, db, "Album.Artist", "Playlists")
		tables := make(map[string]int)
		for i, r := range l.Related() {
			tables[r.Schema.Table.Name] = i
		}
		if len(tables) != 4 {
			t.Fatalf("got related tables %v, want four", tables)
		}
		for _, c := range []struct {
			table string
			key   driver.Key
			limit int
			want  []int64
		}{
			{"albums", driver.KeyOf(1), 10, []int64{1}},
			{"albums", driver.KeyOf(98), 10, []int64{4}}, // there is none
			{"albums", driver.KeyOf("x"), 10, nil},
			{"artists", driver.KeyOf(1), 10, []int64{1, 2}},
			{"artists", driver.KeyOf(99), 10, []int64{3}}, // there is none
			{"artists", driver.KeyOf(1), 1, []int64{1, 2}},
			{"playlists", driver.KeyOf(1), 10, []int64{1, 2}},
			{"playlists", driver.KeyOf(97), 10, []int64{3}},         // there is none
			{"playlist_tracks", driver.KeyOf(5, 5), 10, []int64{5}}, // which is no link (any more)
		} {
			owners, err := l.Referrers(t.Context(), tables[c.table], []driver.Key{c.key}, c.limit)
			var want []driver.Key
			for _, id := range c.want {
				want = append(want, driver.KeyOf(id))
			}
			slices.Sort(owners)
			if err != nil || !reflect.DeepEqual(owners, want) {
				t.Errorf("%s %s, at most %d: got owners %q, %v, want %q", c.table, c.key, c.limit, owners, err, want)
			}
		}
		if _, err := l.Referrers(t.Context(), 9, []driver.Key{driver.KeyOf(1)}, 1); err == nil {
			t.Error("a related table that is not there has owners")
		}
	})
}

// TestRelationsOfCompositeKeys relates by two columns, and through a junction with
// a key of its own.
func TestRelationsOfCompositeKeys(t *testing.T) {
	type shelf struct {
		bun.BaseModel `bun:"table:shelves,alias:sh"`
		Room          string `bun:",pk"`
		Number        int64  `bun:",pk"`
		Label         string
	}
	type book struct {
		bun.BaseModel `bun:"table:books,alias:bo"`
		ID            string `bun:",pk"`
		Room          *string
		Number        *int64
		Shelf         *shelf `bun:"rel:belongs-to,join:room=room,join:number=number"`
	}
	type reading struct {
		bun.BaseModel `bun:"table:readings,alias:re"`
		ID            int64 `bun:",pk,autoincrement"`
		BookID        string
		Reader        int64
	}
	type shelved struct {
		bun.BaseModel `bun:"table:shelves,alias:sh"`
		Room          string  `bun:",pk"`
		Number        int64   `bun:",pk"`
		Books         []*book `bun:"rel:has-many,join:room=room,join:number=number"`
	}
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		createTable(t, db, shelf{Room: "a", Number: 1, Label: "x"}, shelf{Room: "a", Number: 2, Label: "y"}, shelf{Room: "?b'", Number: 1})
		room, odd, one, two := "a", "?b'", int64(1), int64(2)
		createTable(t, db, book{ID: "i", Room: &room, Number: &one}, book{ID: "ii", Room: &room, Number: &two},
			book{ID: "iii", Room: &odd, Number: &one}, book{ID: "iv", Room: &room}, book{ID: "v"})
		createTable(t, db, reading{BookID: "i", Reader: 1})
		books := related[book](t, db, "Shelf")
		wayBack(t, books, loadAll(t, books))
		shelves := related[shelved](t, db, "Books.Shelf")
		rows := loadAll(t, shelves)
		wayBack(t, shelves, rows)
		for _, s := range rows {
			if len(s.Books) != 1 || s.Books[0].Shelf == nil || s.Books[0].Shelf.Number != s.Number {
				t.Errorf("shelf %s %d shows %v", s.Room, s.Number, s.Books)
			}
		}
	})
}

// A junction with a key of its own: its rows cannot be told from what they link.
type (
	relMember struct {
		bun.BaseModel `bun:"table:members,alias:me"`

		ID     int64       `bun:",pk"`
		Groups []*relGroup `bun:"m2m:memberships,join:Member=Group"`
	}
	relGroup struct {
		bun.BaseModel `bun:"table:groups,alias:gr"`

		ID int64 `bun:",pk"`
	}
	relMembership struct {
		bun.BaseModel `bun:"table:memberships,alias:ms"`

		ID       int64 `bun:",pk,autoincrement"`
		MemberID int64
		GroupID  int64

		Member *relMember `bun:"rel:belongs-to,join:member_id=id"`
		Group  *relGroup  `bun:"rel:belongs-to,join:group_id=id"`
	}
)

func TestRelationsThroughAJunctionWithItsOwnKey(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *bun.DB) {
		db.RegisterModel((*relMembership)(nil))
		createTable(t, db, relMember{ID: 1}, relMember{ID: 2})
		createTable(t, db, relGroup{ID: 1}, relGroup{ID: 2})
		createTable(t, db, relMembership{MemberID: 1, GroupID: 2}, relMembership{MemberID: 1, GroupID: 1}, relMembership{MemberID: 2, GroupID: 2})
		l := related[relMember](t, db, "Groups")
		rows := loadAll(t, l)
		if got := l.Related(); len(got) != 2 || !got[0].Opaque || got[1].Opaque {
			t.Fatalf("got related tables %+v, want an opaque one and another", got)
		}
		if keys := l.RelatedKeys(rows[0], 0); keys != nil {
			t.Errorf("rows show %q of an opaque table", keys)
		}
		wayBack(t, l, rows)
	})
}

// TestRelationsAlwaysFindTheWay compares loaders with Bun's own reading, and looks
// for the way back, in random libraries.
func TestRelationsAlwaysFindTheWay(t *testing.T) {
	t.Parallel()
	db := loaderSQLite(t, walMode)
	library(t, db)
	rapid.Check(t, func(rt *rapid.T) {
		for _, table := range []string{"artists", "albums", "covers", "tracks", "playlists", "playlist_tracks"} {
			mustExec(t, db, "DELETE FROM "+table)
		}
		id := func(what string) any {
			if n := rapid.IntRange(0, 5).Draw(rt, what); n > 0 {
				return n
			}
			return nil
		}
		fill := func(table, columns string, row func(i int) []any) {
			for i := range rapid.IntRange(0, 5).Draw(rt, table) {
				vals := row(i + 1)
				marks := strings.TrimSuffix(strings.Repeat("?, ", len(vals)), ", ")
				mustExec(t, db, fmt.Sprintf("INSERT OR IGNORE INTO %s (%s) VALUES (%s)", table, columns, marks), vals...)
			}
		}
		fill("artists", "id, name", func(i int) []any { return []any{i, "a"} })
		fill("albums", "id, title, artist_id, deleted_at", func(i int) []any {
			var gone any
			if rapid.IntRange(0, 3).Draw(rt, "gone") == 0 {
				gone = "2024-01-01 00:00:00+00:00"
			}
			return []any{i, "b", id("artist"), gone}
		})
		fill("covers", "id, album_id, taken", func(i int) []any { return []any{i, i, "2024-01-01 00:00:00+00:00"} })
		fill("tracks", "id, name, album_id", func(i int) []any { return []any{i, "c", id("album")} })
		fill("playlists", "id, name, parent_id", func(i int) []any { return []any{i, "d", id("parent")} })
		fill("playlist_tracks", "playlist_id, track_id", func(int) []any {
			return []any{rapid.IntRange(1, 5).Draw(rt, "playlist"), rapid.IntRange(1, 5).Draw(rt, "track")}
		})
		showsAsBun[relTrack](t, db, "Album.Artist", "Album.Cover", "Playlists")
		showsAsBun[relArtist](t, db, "Albums.Tracks.Playlists")
		showsAsBun[relPlaylist](t, db, "Parent.Tracks", "Children.Tracks")
		if t.Failed() {
			rt.FailNow()
		}
	})
}
