package main

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/binderyhq/bindery/core/driver"
)

// TestRelatedRowsShow follows the way from an artist to the tracks, and from a
// track to the playlists that it is on.
func TestRelatedRowsShow(t *testing.T) {
	db, reg := open(t)
	ctx := context.Background()
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := db.ExecContext(ctx, query, args...); err != nil {
			t.Fatal(err)
		}
		if err := reg.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	byArtist := func() map[string]int {
		counts := make(map[string]int)
		for _, r := range rows(t, reg, "catalog") {
			album, _ := r["Album"].(map[string]any)
			artist, _ := album["Artist"].(map[string]any)
			name, _ := artist["Name"].(string)
			counts[name]++
		}
		return counts
	}
	catalog, _ := reg.Lookup("catalog")
	version := catalog.Version()
	if n := byArtist(); len(rows(t, reg, "catalog")) != 3503 || n["Iron Maiden"] != 213 || n["AC/DC"] != 18 || n[""] != 0 {
		t.Fatalf("the catalog has %d tracks of Iron Maiden and %d of AC/DC, and %d of nobody", n["Iron Maiden"], n["AC/DC"], n[""])
	}
	exec(`UPDATE Artist SET Name = 'Iron Maidens' WHERE ArtistId = 90`)
	if n := byArtist(); n["Iron Maiden"] != 0 || n["Iron Maidens"] != 213 {
		t.Errorf("after renaming the artist %d tracks have the old name and %d the new one", n["Iron Maiden"], n["Iron Maidens"])
	}
	if v := catalog.Version(); v.Seq != version.Seq+1 {
		t.Errorf("that took %d versions, want one", v.Seq-version.Seq)
	}
	exec(`UPDATE Album SET ArtistId = 1 WHERE AlbumId = 94`)
	if n := byArtist(); n["AC/DC"] != 18+11 || n["Iron Maidens"] != 213-11 {
		t.Errorf("after an album of 11 tracks has moved, AC/DC has %d tracks and Iron Maidens %d", n["AC/DC"], n["Iron Maidens"])
	}

	onGrunge := func() (names []string) {
		t.Helper()
		mixes, _ := reg.Lookup("mixes")
		row, ok := mixes.Snapshot().Get(driver.KeyOf(16))
		if !ok {
			t.Fatal("the playlist Grunge is no mix")
		}
		var playlist Playlist
		if err := json.Unmarshal(row.JSON(), &playlist); err != nil {
			t.Fatal(err)
		}
		for i, tr := range playlist.Tracks {
			if i > 0 && tr.TrackID <= playlist.Tracks[i-1].TrackID {
				t.Errorf("track %d comes after track %d", tr.TrackID, playlist.Tracks[i-1].TrackID)
			}
			names = append(names, tr.Name)
		}
		return names
	}
	if names := onGrunge(); len(names) != 15 || names[0] != "Man In The Box" {
		t.Fatalf("on Grunge are %q", names)
	}
	exec(`UPDATE Track SET Name = 'The Box' WHERE TrackId = 52`)
	if names := onGrunge(); names[0] != "The Box" {
		t.Errorf("after a track was renamed, on Grunge are %q", names)
	}
	exec(`INSERT INTO PlaylistTrack (PlaylistId, TrackId) VALUES (16, 1)`)
	if names := onGrunge(); len(names) != 16 || names[0] != "For Those About To Rock (We Salute You)" {
		t.Errorf("after a track was added, on Grunge are %q", names)
	}
	exec(`DELETE FROM PlaylistTrack WHERE PlaylistId = 16`)
	if names := onGrunge(); len(names) != 0 {
		t.Errorf("after all were taken off, on Grunge are %q", names)
	}
}
