package bunsource

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
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
			for _, shown := range l.RelatedKeys(row, i) {
				owners, err := l.Referrers(t.Context(), i, []driver.Key{shown}, 1000)
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
	for _, path := range model.RelationPaths(names) {
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
