package main

import (
	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/sources/bunsource"
)

// bindings declares what this program serves. The bindings of one table share
// every read of it.
func bindings(db *bun.DB) []core.Bindable {
	// Bun wants to know what links playlists and tracks before it sees either.
	db.RegisterModel((*PlaylistTrack)(nil))
	return []core.Bindable{
		bunsource.Bind[Artist](db, "artists", core.OrderBy("Name")),
		bunsource.Bind[Album](db, "albums", core.OrderBy("Title")),
		bunsource.Bind[Playlist](db, "playlists"),
		// A key of two columns: /api/playlist_tracks/8,2 is a row.
		bunsource.Bind[PlaylistTrack](db, "playlist_tracks"),

		bunsource.Bind[Track](db, "tracks"),
		// A filter on NULL: tracks that nobody is named as the composer of.
		bunsource.Bind[Track](db, "uncredited", core.Where(filter.IsNull("Composer"))),
		bunsource.Bind[Track](db, "longest", core.OrderBy("-Milliseconds"), core.Limit(20)),

		// Related rows: each track with its album, and that with its artist; playlists
		// that somebody has put together, with their tracks. Renaming an artist
		// changes the tracks.
		bunsource.Bind[Track](db, "catalog", bunsource.Relation("Album.Artist")),
		bunsource.Bind[Playlist](db, "mixes", bunsource.Relation("Tracks"), core.Where(filter.Gt("PlaylistId", 10))),

		bunsource.Bind[Invoice](db, "invoices", core.OrderBy("-InvoiceDate")),
		// A query over two tables, of which one is not bound.
		bindSales(db),
	}
}
