package bunsource

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// relWitness looks at every version that is published.
type relWitness struct {
	check func(*live.View) error

	mu       sync.Mutex // guards what follows
	versions int
	torn     error
}

func (*relWitness) Name() string { return "witness" }

func (*relWitness) Start(context.Context, *core.Registry) error { return nil }

func (*relWitness) Shutdown(context.Context) error { return nil }

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
	t.Parallel()
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
