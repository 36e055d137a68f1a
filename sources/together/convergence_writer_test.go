package together_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"
)

// thing and part are the tables of the convergence tests.
type thing struct {
	bun.BaseModel `bun:"table:things"`

	ID    int64  `bun:",pk" json:"id"`
	Shelf int64  `bun:",notnull" json:"shelf"`
	Name  string `bun:",notnull" json:"name"`
	Price int64  `bun:",notnull" json:"price"`
}

type part struct {
	bun.BaseModel `bun:"table:parts"`

	Thing int64  `bun:",pk" json:"thing"`
	Code  string `bun:",pk" json:"code"`
	Count int64  `bun:",notnull" json:"count"`
}

const (
	things  = 300
	shelves = 4
	// writeTimeout bounds a transaction, so that a network that swallows
	// everything does not hold the writer.
	writeTimeout = time.Second
)

// randomWriter writes what a random source says, until it is stopped. Errors
// are part of the game.
type randomWriter struct {
	db *bun.DB
	// plain writes through the *sql.DB inside of db, in SQL text.
	plain bool
	rnd   *rand.Rand
	*writeControl
}

// writeControl is what the writers of a group share.
type writeControl struct {
	made, failed atomic.Int64
	// keyed has all writes be by key: a report of a whole table would make
	// good what was missed before.
	keyed atomic.Bool
}

// run writes until stop is closed.
func (w *randomWriter) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
		err := w.transaction(ctx)
		cancel()
		failed := err != nil && !errors.Is(err, errUndo)
		if failed {
			w.failed.Add(1)
		} else {
			w.made.Add(1)
		}
		if failed || w.rnd.IntN(8) == 0 { // what has failed is likely to fail again
			select {
			case <-stop:
			case <-time.After(time.Duration(w.rnd.IntN(20)) * time.Millisecond):
			}
		}
	}
}

// transaction makes one write by itself, or several in a transaction.
func (w *randomWriter) transaction(ctx context.Context) error {
	// What is a transaction of its own is in doubt whenever its answer is lost.
	alone := w.rnd.IntN(2) == 0 || w.keyed.Load() && w.rnd.IntN(2) == 0
	if w.plain {
		if alone {
			_, err := w.db.DB.ExecContext(ctx, w.text())
			return err
		}
		tx, err := w.db.DB.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		for range 1 + w.rnd.IntN(4) {
			if _, err := tx.ExecContext(ctx, w.text()); err != nil {
				return errors.Join(err, tx.Rollback())
			}
		}
		if w.rnd.IntN(5) == 0 {
			return tx.Rollback()
		}
		return tx.Commit()
	}
	if alone {
		return w.write(ctx, w.db)
	}
	return w.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		for range 1 + w.rnd.IntN(4) {
			if err := w.write(ctx, tx); err != nil {
				return err
			}
		}
		if w.rnd.IntN(5) == 0 {
			return errUndo
		}
		return nil
	})
}

func (w *randomWriter) thing() *thing {
	return &thing{ID: w.rnd.Int64N(things), Shelf: w.rnd.Int64N(shelves), Name: fmt.Sprintf("näme %d", w.rnd.IntN(1000)), Price: w.rnd.Int64N(100)}
}

func (w *randomWriter) part() *part {
	return &part{Thing: w.rnd.Int64N(things), Code: string(rune('a' + w.rnd.IntN(3))), Count: w.rnd.Int64N(100)}
}

// write makes one write with Bun.
func (w *randomWriter) write(ctx context.Context, db bun.IDB) error {
	var err error
	kind := w.rnd.IntN(10)
	if w.keyed.Load() {
		kind = []int{0, 2, 3, 6, 9}[kind/2]
	}
	switch kind {
	case 0, 1:
		_, err = db.NewInsert().Model(w.thing()).On("CONFLICT (id) DO UPDATE").
			Set("shelf = EXCLUDED.shelf").Set("name = EXCLUDED.name").Set("price = EXCLUDED.price").Exec(ctx)
	case 2:
		_, err = db.NewUpdate().Model(w.thing()).Column("name", "price").WherePK().Exec(ctx)
	case 3:
		_, err = db.NewDelete().Model(w.thing()).WherePK().Exec(ctx)
	case 4:
		one, two := w.thing(), w.thing()
		two.ID = (one.ID + 1) % things
		_, err = db.NewUpdate().Model(&[]*thing{one, two}).Column("price").Bulk().Exec(ctx)
	case 5:
		_, err = db.NewUpdate().Model((*thing)(nil)).Set("price = (price + 1) % 100").Where("shelf = ?", w.rnd.Int64N(shelves)).Exec(ctx)
	case 6:
		_, err = db.NewInsert().Model(w.part()).On("CONFLICT (thing, code) DO UPDATE").Set("count = EXCLUDED.count").Returning("*").Exec(ctx)
	case 7:
		var gone []part
		err = db.NewDelete().Model(&gone).Where("thing = ?", w.rnd.Int64N(things)).Returning("*").Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
	default:
		_, err = db.ExecContext(ctx, w.text())
	}
	return err
}

// text returns a write as SQL text.
func (w *randomWriter) text() string {
	t, p := w.thing(), w.part()
	kind := w.rnd.IntN(8)
	if w.keyed.Load() {
		kind = []int{0, 1, 3, 6}[kind/2]
	}
	switch kind {
	case 0:
		return fmt.Sprintf(`INSERT INTO things (id, shelf, name, price) VALUES (%d, %d, '%s', %d) ON CONFLICT (id) DO UPDATE SET price = EXCLUDED.price`, t.ID, t.Shelf, t.Name, t.Price)
	case 1:
		return fmt.Sprintf(`UPDATE things SET price = %d WHERE id = %d`, t.Price, t.ID)
	case 2:
		return fmt.Sprintf(`UPDATE things SET shelf = %d WHERE price BETWEEN %d AND %d`, t.Shelf, t.Price, t.Price+5)
	case 3:
		return fmt.Sprintf(`DELETE FROM things WHERE id IN (%d, %d)`, t.ID, p.Thing)
	case 4: // another key, where it is free
		return fmt.Sprintf(`UPDATE things SET id = %d WHERE id = %d AND NOT EXISTS (SELECT 1 FROM things WHERE id = %d)`, p.Thing, t.ID, p.Thing)
	case 5:
		return fmt.Sprintf(`INSERT INTO parts (thing, code, count) SELECT id, '%s', price FROM things WHERE shelf = %d ON CONFLICT (thing, code) DO UPDATE SET count = EXCLUDED.count`, p.Code, t.Shelf)
	case 6:
		return fmt.Sprintf(`UPDATE parts SET count = count + 1 WHERE thing = %d AND code = '%s'`, p.Thing, p.Code)
	default:
		return fmt.Sprintf(`DELETE FROM parts WHERE code = '%s' AND thing > %d`, p.Code, p.Thing)
	}
}

// writers are a group of random writers. They begin and end together, any
// number of times.
type writers struct {
	writeControl
	members []*randomWriter
	stop    chan struct{}
	wg      sync.WaitGroup
}

// add adds a writer with a random source of its own, before the next begin.
func (g *writers) add(db *bun.DB, plain bool, seed uint64) {
	number := uint64(len(g.members) + 1)
	g.members = append(g.members, &randomWriter{
		db: db, plain: plain, rnd: rand.New(rand.NewPCG(seed, number)), writeControl: &g.writeControl,
	})
}

func (g *writers) begin() {
	g.stop = make(chan struct{})
	for _, w := range g.members {
		g.wg.Go(func() { w.run(g.stop) })
	}
}

// end stops all writers and waits until each has ended what it was about.
func (g *writers) end() {
	close(g.stop)
	g.wg.Wait()
}
