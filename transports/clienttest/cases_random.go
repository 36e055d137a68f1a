package clienttest

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// randomCases play random histories.
var randomCases = []Case{random(1), random(2), random(3), random(4)}

func random(seed uint64) Case {
	return Case{
		Name: fmt.Sprintf("random history %d", seed), Rule: "Whatever happens, what is shown is a version of the server's, and the client gets to the last.",
		run: func(r *rig) error { return r.play(rand.New(rand.NewPCG(seed, seed)), 60) },
	}
}

// play plays a history: changes, merged changes, syncs, and breaks at any point.
func (r *rig) play(rnd *rand.Rand, length int) error {
	order := []string{"n", "id"}
	v := r.has("v0", randomRows(rnd, nil)...)
	if err := r.begin(v, order...); err != nil {
		return err
	}
	for i := 1; i <= length; i++ {
		w := v
		for range 1 + rnd.IntN(3) { // several commits; the client is told only the last
			w = version{fmt.Sprintf("v%d", i), randomRows(rnd, w.rows)}
		}
		r.has(w.token, w.rows...)
		list := w.from(v)
		if rnd.IntN(6) == 0 || len(list) == 0 {
			list = w.sync(1+rnd.IntN(4), order...)
		}
		if rnd.IntN(4) > 0 {
			if err := r.tell(list); err != nil {
				return fmt.Errorf("after %d changes: %w", i, err)
			}
			v = w
			if rnd.IntN(2) == 0 {
				if err := r.shows(v); err != nil {
					return fmt.Errorf("after %d changes: %w", i, err)
				}
			}
			continue
		}
		// The connection breaks, perhaps after part of the batch.
		if err := r.ready(); err != nil {
			return err
		}
		if n := rnd.IntN(len(list)); n > 0 {
			if err := r.cur.link.half(list[:n]); err != nil {
				return err
			}
		}
		if err := r.cut(); err != nil {
			return err
		}
		j, err := r.join()
		if err != nil {
			return fmt.Errorf("after %d changes: %w", i, err)
		}
		// The break may have discarded messages that were sent before it.
		held, known := r.known[j.version]
		list = w.sync(1+rnd.IntN(4), order...)
		if since := w.from(held); known && len(since) > 0 && rnd.IntN(2) == 0 {
			list = since
		}
		if err := r.tell(list); err != nil {
			return err
		}
		if err := r.shows(w); err != nil {
			return fmt.Errorf("after %d changes: %w", i, err)
		}
		v = w
	}
	return r.shows(v)
}

// randomRows changes rows at random, and sorts them by n and id.
func randomRows(rnd *rand.Rand, rows []row) []row {
	byID := map[int]row{}
	for _, r := range rows {
		byID[r["id"].(int)] = r
	}
	for range 1 + rnd.IntN(5) {
		id := 1 + rnd.IntN(15)
		if _, known := byID[id]; known && rnd.IntN(3) == 0 {
			delete(byID, id)
		} else {
			byID[id] = row{"id": id, "n": rnd.IntN(5), "x": rnd.IntN(1_000)}
		}
	}
	out := make([]row, 0, len(byID))
	for _, r := range byID {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b row) int {
		if d := a["n"].(int) - b["n"].(int); d != 0 {
			return d
		}
		return a["id"].(int) - b["id"].(int)
	})
	return out
}
