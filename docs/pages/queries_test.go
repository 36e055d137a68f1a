// Package pages holds the code that pages show and no example has: it is compiled,
// and run where no server is needed for it.
package pages

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/sources/bunsource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type Product struct {
	ID     int64   `bun:"id,pk,autoincrement" json:"id"`
	Name   string  `bun:"name,notnull"        json:"name"`
	SKU    string  `bun:"sku,notnull"         json:"sku"`
	Venue  string  `bun:"venue,notnull"       json:"venue"`
	Status string  `bun:"status,notnull"      json:"status"`
	Price  float64 `bun:"price,notnull"       json:"price"`
	Rating int64   `bun:"rating,notnull"      json:"rating"`
	Active bool    `bun:"active,notnull"      json:"active"`
}

type Order struct {
	ID   int64 `bun:"id,pk"        json:"id"`
	User int64 `bun:"user,notnull" json:"user"`
}

type Member struct {
	ID    int64  `bun:"id,pk"         json:"id"`
	Name  string `bun:"name,notnull"  json:"name"`
	Email string `bun:"email,notnull" json:"email"`
	Notes string `bun:"notes,notnull" json:"notes"`
}

type Artist struct {
	ID   int64  `bun:"id,pk"        json:"id"`
	Name string `bun:"name,notnull" json:"name"`
}

type Album struct {
	ID       int64   `bun:"id,pk"             json:"id"`
	ArtistID int64   `bun:"artist_id,notnull" json:"artist_id"`
	Artist   *Artist `bun:"rel:belongs-to,join:artist_id=id" json:"artist,omitempty"`
}

// region venue
type Venue struct {
	Venue    string  `bun:"venue,pk"  json:"venue"`
	Products int64   `bun:"products"  json:"products"`
	MaxPrice float64 `bun:"max_price" json:"max_price"`
}

// endregion

type VenueView struct {
	bun.BaseModel `bun:"table:venue_view"`

	Venue string `bun:"venue,pk" json:"venue"`
}

// region track
type Track struct {
	ID      int64  `bun:"id,pk,autoincrement"             json:"id"`
	Name    string `bun:"name,notnull"                    json:"name"`
	AlbumID int64  `bun:"album_id,notnull"                json:"album_id"`
	Album   *Album `bun:"rel:belongs-to,join:album_id=id" json:"album,omitempty"`
}

// endregion

type Public struct {
	ID       int64  `json:"id"`
	Initials string `json:"initials"`
}

func initials(name string) string {
	var b strings.Builder
	for word := range strings.FieldsSeq(name) {
		b.WriteString(word[:1])
	}
	return b.String()
}

// open returns a database with some rows, and a registry that watches it.
func open(t *testing.T) (*bun.DB, *core.Registry) {
	t.Helper()
	db, err := bunsource.Open("sqlite", "file:"+t.Name()+"?mode=memory&cache=shared", sqlitedialect.New())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, model := range []any{(*Product)(nil), (*Order)(nil), (*Member)(nil), (*Artist)(nil), (*Album)(nil), (*Track)(nil)} {
		if _, err := db.NewCreateTable().Model(model).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.ExecContext(t.Context(), "CREATE VIEW venue_view AS SELECT DISTINCT venue FROM products"); err != nil {
		t.Fatal(err)
	}
	for _, rows := range []any{
		&[]Product{
			{Name: "Green tea", SKU: "TEA-1", Venue: "store", Status: "open", Price: 12, Active: true},
			{Name: "Teapot", SKU: "POT-1", Venue: "store", Status: "paid", Price: 30, Active: true},
			{Name: "Cup", SKU: "CUP-1", Venue: "web", Status: "open", Price: 5, Active: true},
		},
		&[]Order{{ID: 1, User: 42}, {ID: 2, User: 7}},
		&[]Member{{ID: 1, Name: "Ada Lovelace", Email: "ada@example.com"}},
		&[]Artist{{ID: 90, Name: "Iron Maiden"}},
		&[]Album{{ID: 5, ArtistID: 90}},
		&[]Track{{ID: 1, Name: "Powerslave", AlbumID: 5}},
	} {
		if _, err := db.NewInsert().Model(rows).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	reg := core.NewRegistry()
	reg.Watch(bunsource.Hooks(db))
	return db, reg
}

func start(t *testing.T, reg *core.Registry) {
	t.Helper()
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reg.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestQueries(t *testing.T) {
	db, reg := open(t)
	venues :=
		// region bindsql
		bunsource.BindSQL[Venue](db, "venues", bunsource.SQL{
			Text:      `SELECT venue, count(*) AS products, max(price) AS max_price FROM products WHERE active GROUP BY venue`,
			DependsOn: []any{(*Product)(nil)},
		}, core.OrderBy("-products"))
	// endregion
	views :=
		// region view
		bunsource.Bind[VenueView](db, "venue-views", core.DependsOn(bunsource.TableOf[Product](db)))
	// endregion
	reg.Add(venues, views)
	start(t, reg)
	if got := slices.Collect(venues.All()); len(got) != 2 || got[0] != (Venue{"store", 2, 30}) {
		t.Errorf("venues: %v", got)
	}
	if views.Len() != 2 {
		t.Errorf("%d views", views.Len())
	}
}

func TestFamilies(t *testing.T) {
	db, reg := open(t)
	// region family
	shelf := bunsource.BindFamily[Product](db, "shelf",
		core.Where(filter.Eq("active", true), filter.Eq("venue", filter.Param("venue"))),
		core.OrderBy("name"))
	reg.Add(shelf)
	// endregion
	start(t, reg)
	list := func(ctx context.Context) (names []string, err error) {
		// region member
		m, err := shelf.Open(ctx, core.Args{"venue": "store"})
		if err != nil {
			return nil, err
		}
		defer m.Close()
		for p := range m.All() { // a core.Binding, as any other
			names = append(names, p.Name)
		}
		// endregion
		return names, nil
	}
	if names, err := list(t.Context()); err != nil || strings.Join(names, ", ") != "Green tea, Teapot" {
		t.Errorf("%v, %v", names, err)
	}
}

func TestFilterBar(t *testing.T) {
	db, reg := open(t)
	// region filterbar
	text := filter.Param("q").Optional()
	shelf := bunsource.BindFamily[Product](db, "shelf",
		core.Where(
			filter.In("status", filter.Param("status").Repeated().Optional()),
			filter.Ge("price", filter.Param("from").Optional()),
			filter.Le("price", filter.Param("to").Optional()),
			filter.Or(filter.ContainsFold("name", text), filter.HasPrefix("sku", text)),
		),
		core.OrderBy("name"), core.OrderParam("sort", "price", "-price", "-rating,name"),
		core.Limit(50), core.LimitParam("top", 10, 50, 200))
	// endregion
	reg.Add(shelf)
	start(t, reg)
	for want, args := range map[string]core.Args{
		"Cup, Green tea, Teapot": nil,
		"Green tea, Teapot":      {"q": "tea"},
		"Cup":                    {"q": "CUP"},
		"Teapot, Green tea":      {"status": []string{"open", "paid"}, "from": 10, "sort": "-price"},
	} {
		m, err := shelf.Open(t.Context(), args)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for p := range m.All() {
			names = append(names, p.Name)
		}
		m.Close()
		if got := strings.Join(names, ", "); got != want {
			t.Errorf("%v: %s, want %s", args, got, want)
		}
	}
}

// followOrders calls send with the user's orders, now and after each change.
func followOrders(ctx context.Context, reg *core.Registry, user int64, send func(version string, orders []Order)) error {
	// region follow
	grant, err := reg.Open(ctx, "orders", core.Args{"user": user}) // the authorizer is asked, with this context
	if err != nil {
		return err // *core.DeniedError, *core.ArgumentError, …
	}
	defer grant.Close()
	for orders, err := range core.Follow[Order](ctx, grant) {
		if err != nil {
			return err // why it ended: this was the last round
		}
		send(orders.Version().Token, slices.Collect(orders.All())) // rows and version belong together
	}
	// endregion
	return nil
}

func TestFollow(t *testing.T) {
	db, reg := open(t)
	reg.Add(bunsource.BindFamily[Order](db, "orders", core.Where(filter.Eq("user", filter.Param("user")))))
	start(t, reg)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last string
	rounds := 0
	err := followOrders(ctx, reg, 42, func(version string, orders []Order) {
		rounds++
		if version == last || len(orders) != rounds {
			t.Errorf("round %d: version %s, %v", rounds, version, orders)
		}
		last = version
		if rounds == 2 {
			cancel()
			return
		}
		if _, err := db.NewInsert().Model(&Order{ID: 3, User: 42}).Exec(ctx); err != nil {
			t.Error(err)
		}
	})
	if err != nil || rounds != 2 {
		t.Errorf("%d rounds, %v", rounds, err)
	}
}

func TestOrders(t *testing.T) {
	db, reg := open(t)
	cheapest :=
		// region limit
		bunsource.Bind[Product](db, "cheapest", core.Where(filter.Eq("active", true)), core.OrderBy("price", "-rating"), core.Limit(10))
	// endregion
	options := []core.Option{
		// region collations
		core.Ordered(driver.Order{Column: "name", Collation: "sv-x-icu"}),             // Postgres, ICU; any name in pg_collation
		core.Ordered(driver.Order{Column: "name", Collation: "NOCASE"}),               // SQLite; or one that the program has registered
		core.Ordered(driver.Order{Column: "name", Collation: driver.ColumnCollation}), // what the column was declared with, or the default
		// endregion
	}
	nocase := bunsource.Bind[Product](db, "nocase", options[1])
	declared := bunsource.Bind[Product](db, "declared", options[2])
	nulls := bunsource.Bind[Product](db, "nulls", core.Ordered(driver.Order{Column: "price", Nulls: driver.NullsLast}))
	reg.Add(cheapest, nocase, declared, nulls)
	start(t, reg)
	for b, first := range map[*core.Binding[Product]]string{cheapest: "Cup", nocase: "Cup", declared: "Cup", nulls: "Cup"} {
		for p := range b.All() {
			if p.Name != first {
				t.Errorf("%s begins with %s", b.Name(), p.Name)
			}
			break
		}
	}
}

func TestShown(t *testing.T) {
	db, reg := open(t)
	tracks :=
		// region relation
		bunsource.Bind[Track](db, "tracks", bunsource.Relation("Album.Artist"))
	// endregion
	staff :=
		// region columns
		bunsource.Bind[Member](db, "staff", core.Columns("id", "name", "email"))
	// endregion
	everyone :=
		// region serialize
		bunsource.Bind[Member](db, "everyone", core.Serialize(func(m Member) Public {
			return Public{ID: m.ID, Initials: initials(m.Name)}
		}))
	// endregion
	reg.Add(tracks, staff, everyone)
	start(t, reg)
	if track, ok := tracks.Get(1); !ok || track.Album.Artist.Name != "Iron Maiden" {
		t.Errorf("a track: %v", track)
	}
	for binding, want := range map[string]string{
		"staff":    `{"id":1,"name":"Ada Lovelace","email":"ada@example.com"}`,
		"everyone": `{"id":1,"initials":"AL"}`,
	} {
		view, _ := reg.Lookup(binding)
		for row := range view.Snapshot().Rows() {
			if string(row.JSON()) != want {
				t.Errorf("%s shows %s", binding, row.JSON())
			}
		}
	}
}
