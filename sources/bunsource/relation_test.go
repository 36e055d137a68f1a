package bunsource

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/uptrace/bun"
	"pgregory.net/rapid"
)

// A music library with every kind of relation, in both directions.
type (
	relArtist struct {
		bun.BaseModel `bun:"table:artists,alias:ar"`

		ID     int64       `bun:",pk,autoincrement"`
		Name   string      `bun:",notnull"`
		Albums []*relAlbum `bun:"rel:has-many,join:id=artist_id"`
	}
	relAlbum struct {
		bun.BaseModel `bun:"table:albums,alias:al"`

		ID        int64     `bun:",pk,autoincrement"`
		Title     string    `bun:",notnull"`
		ArtistID  *int64    `bun:"artist_id"`
		DeletedAt time.Time `bun:",soft_delete,nullzero"`

		Artist *relArtist `bun:"rel:belongs-to,join:artist_id=id"`
		Cover  *relCover  `bun:"rel:has-one,join:id=album_id"`
		Tracks []relTrack `bun:"rel:has-many,join:id=album_id"`
	}
	relCover struct {
		bun.BaseModel `bun:"table:covers,alias:co"`

		ID      int64     `bun:",pk,autoincrement"`
		AlbumID int64     `bun:",notnull"`
		Taken   time.Time `bun:",notnull"`
	}
	relTrack struct {
		bun.BaseModel `bun:"table:tracks,alias:tr"`

		ID      int64  `bun:",pk,autoincrement"`
		Name    string `bun:",notnull"`
		AlbumID *int64 `bun:"album_id"`

		Album     *relAlbum      `bun:"rel:belongs-to,join:album_id=id"`
		Playlists []*relPlaylist `bun:"m2m:playlist_tracks,join:Track=Playlist"`
	}
	relPlaylist struct {
		bun.BaseModel `bun:"table:playlists,alias:pl"`

		ID       int64  `bun:",pk,autoincrement"`
		Name     string `bun:",notnull"`
		ParentID *int64 `bun:"parent_id"`

		Parent   *relPlaylist   `bun:"rel:belongs-to,join:parent_id=id"`
		Children []*relPlaylist `bun:"rel:has-many,join:id=parent_id"`
		Tracks   []relTrack     `bun:"m2m:playlist_tracks,join:Playlist=Track"`
	}
	relPlaylistTrack struct {
		bun.BaseModel `bun:"table:playlist_tracks,alias:pt"`

		PlaylistID int64 `bun:",pk"`
		TrackID    int64 `bun:",pk"`

		Playlist *relPlaylist `bun:"rel:belongs-to,join:playlist_id=id"`
		Track    *relTrack    `bun:"rel:belongs-to,join:track_id=id"`
	}
)

// library makes the tables and registers the junction, as Bun demands.
func library(t testing.TB, db *bun.DB) {
	t.Helper()
	db.RegisterModel((*relPlaylistTrack)(nil))
	createTable[relArtist](t, db)
	createTable[relAlbum](t, db)
	createTable[relCover](t, db)
	createTable[relTrack](t, db)
	createTable[relPlaylist](t, db)
	createTable[relPlaylistTrack](t, db)
}

// related returns a prepared loader of rows that show others.
func related[T any](t testing.TB, db *bun.DB, names ...string) *Loader[T] {
	t.Helper()
	l := NewLoader[T](db).WithRelations(names...).(*Loader[T])
	if err := l.refine(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

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

// showsAsBun compares the loader with a select of Bun's whose children are in
// order, and looks whether the way back leads from what a row shows to the row.
func showsAsBun[T any](t *testing.T, db *bun.DB, names ...string) {
	t.Helper()
	want := bunsOwn[T](t, db, names...)
	l := related[T](t, db, names...)
	rows := loadAll(t, l)
	if got := encodeAll(t, l, rows); !slices.Equal(got, want) {
		t.Errorf("%v of %T:\n got %s\nwant %s", names, *new(T), strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
	var keys []driver.Key
	for _, r := range rows {
		keys = append(keys, keyOf(t, l, r))
	}
	byKey, err := l.Load(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	if got := encodeAll(t, l, byKey); !slices.Equal(got, want) {
		t.Errorf("%v of %T by key:\n got %s\nwant %s", names, *new(T), strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
	wayBack(t, l, rows)
}

// wayBack fails where a row that shows another is not found by the other's key.
func wayBack[T any](t testing.TB, l *Loader[T], rows []*T) {
	t.Helper()
	for i, r := range l.Related() {
		if r.Opaque {
			continue
		}
		for _, row := range rows {
			for _, shown := range l.Shows(row, i) {
				owners, err := l.Owners(t.Context(), i, []driver.Key{shown}, 1000)
				if err != nil {
					t.Fatalf("%v", err)
				}
				if key := keyOf(t, l, row); !slices.Contains(owners, key) {
					t.Errorf("%T %s shows %s %s, which finds only %q", row, key, r.Schema.Table, shown, owners)
				}
			}
		}
	}
}

// bunsOwn returns what Bun reads by itself, encoded, by key.
func bunsOwn[T any](t testing.TB, db *bun.DB, names ...string) []string {
	t.Helper()
	var rows []*T
	q := db.NewSelect().Model(&rows)
	for _, path := range relationPaths(names) {
		q = q.Relation(path)
	}
	if err := q.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	return encodeAll(t, NewLoader[T](db), rows)
}

// encodeAll returns the rows' JSON by key. Times are in UTC and children in order,
// as loaders have them, whoever has read the rows.
func encodeAll[T any](t testing.TB, l *Loader[T], rows []*T) []string {
	t.Helper()
	byKey := make(map[driver.Key]string)
	var keys []driver.Key
	for _, r := range rows {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		if b, err = json.Marshal(inOrder(v)); err != nil {
			t.Fatal(err)
		}
		key := keyOf(t, l, r)
		byKey[key] = string(b)
		keys = append(keys, key)
	}
	slices.Sort(keys)
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = byKey[k]
	}
	return out
}

// inOrder puts lists in the order of their IDs, and times in UTC.
func inOrder(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = inOrder(v[k])
		}
	case []any:
		for i := range v {
			v[i] = inOrder(v[i])
		}
		slices.SortFunc(v, func(a, b any) int {
			return int(a.(map[string]any)["ID"].(float64) - b.(map[string]any)["ID"].(float64))
		})
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return at.UTC().Format(time.RFC3339Nano)
		}
	}
	return v
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
	const n = 2*maxParents + 7
	mustExec(t, db, `INSERT INTO albums (id, title) WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s WHERE n < ?) SELECT n, 'x' FROM s`, n)
	mustExec(t, db, `INSERT INTO tracks (id, name, album_id) SELECT id, 'x', id FROM albums`)
	longest := &longestQuery{}
	l := related[relAlbum](t, db.WithQueryHook(longest), "Tracks")
	rows := loadAll(t, l)
	if len(rows) != n {
		t.Fatalf("got %d rows, want %d", len(rows), n)
	}
	if limit := maxParents*len("1000, ") + 1000; longest.bytes > limit {
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
			owners, err := l.Owners(t.Context(), tables[c.table], []driver.Key{c.key}, c.limit)
			var want []driver.Key
			for _, id := range c.want {
				want = append(want, driver.KeyOf(id))
			}
			slices.Sort(owners)
			if err != nil || !reflect.DeepEqual(owners, want) {
				t.Errorf("%s %s, at most %d: got owners %q, %v, want %q", c.table, c.key, c.limit, owners, err, want)
			}
		}
		if _, err := l.Owners(t.Context(), 9, []driver.Key{driver.KeyOf(1)}, 1); err == nil {
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
		if keys := l.Shows(rows[0], 0); keys != nil {
			t.Errorf("rows show %q of an opaque table", keys)
		}
		wayBack(t, l, rows)
	})
}

// TestRelationsAlwaysFindTheWay compares loaders with Bun's own reading, and looks
// for the way back, in random libraries.
func TestRelationsAlwaysFindTheWay(t *testing.T) {
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
