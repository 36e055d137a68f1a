package main

import (
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"
)

// The models name tables and columns as the file does, capitals and all, and
// their JSON fields too. A column that may be NULL is a pointer, so that clients
// see null, and not an empty value that nobody wrote. Related rows are there where
// a binding asks for them.

// Artist is a row of the table Artist.
type Artist struct {
	bun.BaseModel `bun:"table:Artist"`

	ArtistID int64   `bun:"ArtistId,pk,autoincrement" json:"ArtistId"`
	Name     *string `bun:"Name" json:"Name"`
}

// Album is a row of the table Album.
type Album struct {
	bun.BaseModel `bun:"table:Album"`

	AlbumID  int64  `bun:"AlbumId,pk,autoincrement" json:"AlbumId"`
	Title    string `bun:"Title,notnull" json:"Title"`
	ArtistID int64  `bun:"ArtistId,notnull" json:"ArtistId"`

	Artist *Artist `bun:"rel:belongs-to,join:ArtistId=ArtistId" json:"Artist,omitempty"`
}

// Track is a row of the table Track.
type Track struct {
	bun.BaseModel `bun:"table:Track"`

	TrackID      int64   `bun:"TrackId,pk,autoincrement" json:"TrackId"`
	Name         string  `bun:"Name,notnull" json:"Name"`
	AlbumID      *int64  `bun:"AlbumId" json:"AlbumId"`
	MediaTypeID  int64   `bun:"MediaTypeId,notnull" json:"MediaTypeId"`
	GenreID      *int64  `bun:"GenreId" json:"GenreId"`
	Composer     *string `bun:"Composer" json:"Composer"`
	Milliseconds int64   `bun:"Milliseconds,notnull" json:"Milliseconds"`
	Bytes        *int64  `bun:"Bytes" json:"Bytes"`
	UnitPrice    Amount  `bun:"UnitPrice,type:numeric(10,2),notnull" json:"UnitPrice"`

	Album *Album `bun:"rel:belongs-to,join:AlbumId=AlbumId" json:"Album,omitempty"`
}

// Playlist is a row of the table Playlist.
type Playlist struct {
	bun.BaseModel `bun:"table:Playlist"`

	PlaylistID int64   `bun:"PlaylistId,pk,autoincrement" json:"PlaylistId"`
	Name       *string `bun:"Name" json:"Name"`

	Tracks []*Track `bun:"m2m:PlaylistTrack,join:Playlist=Track" json:"Tracks,omitempty"`
}

// PlaylistTrack is a row of the table PlaylistTrack, which is all key. It links
// playlists and tracks.
type PlaylistTrack struct {
	bun.BaseModel `bun:"table:PlaylistTrack"`

	PlaylistID int64 `bun:"PlaylistId,pk" json:"PlaylistId"`
	TrackID    int64 `bun:"TrackId,pk" json:"TrackId"`

	Playlist *Playlist `bun:"rel:belongs-to,join:PlaylistId=PlaylistId" json:"-"`
	Track    *Track    `bun:"rel:belongs-to,join:TrackId=TrackId" json:"-"`
}

// Invoice is a row of the table Invoice.
type Invoice struct {
	bun.BaseModel `bun:"table:Invoice"`

	InvoiceID         int64     `bun:"InvoiceId,pk,autoincrement" json:"InvoiceId"`
	CustomerID        int64     `bun:"CustomerId,notnull" json:"CustomerId"`
	InvoiceDate       time.Time `bun:"InvoiceDate,type:datetime,notnull" json:"InvoiceDate"`
	BillingAddress    *string   `bun:"BillingAddress" json:"BillingAddress"`
	BillingCity       *string   `bun:"BillingCity" json:"BillingCity"`
	BillingState      *string   `bun:"BillingState" json:"BillingState"`
	BillingCountry    *string   `bun:"BillingCountry" json:"BillingCountry"`
	BillingPostalCode *string   `bun:"BillingPostalCode" json:"BillingPostalCode"`
	Total             Amount    `bun:"Total,type:numeric(10,2),notnull" json:"Total"`
}

// Amount is money, with two decimals. SQLite keeps an amount without cents as
// an integer, which Bun does not read into a float by itself.
type Amount float64

var _ sql.Scanner = (*Amount)(nil)

// Scan reads an amount from whichever kind of number the database sends.
func (a *Amount) Scan(src any) error {
	var n sql.Null[float64]
	if err := n.Scan(src); err != nil {
		return err
	}
	if !n.Valid {
		return errors.New("chinook: reading an amount: it is NULL")
	}
	*a = Amount(n.V)
	return nil
}
