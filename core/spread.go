package core

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/internal/index"
	"github.com/binderyhq/bindery/core/value"
)

// spread gives the rows that a batch has read to the bindings that they
// concern, and gathers the transitions that these make of them.
type spread struct {
	w     work
	keys  []Key
	full  map[*View]struct{} // to be read in full
	now   time.Time
	moves map[*View]*transition
	buf   []byte
}

// execute runs the plan and prepares the transitions of all bindings
// concerned, in the order in which these came.
func (f *feed) execute(ctx context.Context, p plan, w work) ([]move, error) {
	s := &spread{w: w, keys: p.keys, full: make(map[*View]struct{}), now: f.now(), moves: make(map[*View]*transition)}
	for _, r := range p.reads {
		for _, v := range r.full {
			s.full[v] = struct{}{}
		}
	}
	for _, r := range p.reads {
		found, err := r.run(ctx)
		if err != nil {
			return nil, err
		}
		if err := s.give(r, found); err != nil {
			return nil, err
		}
	}
	moves := make([]move, 0, len(s.moves))
	for v, t := range s.moves {
		moves = append(moves, move{t: t, how: w.reloads[v]})
	}
	slices.SortFunc(moves, func(a, b move) int { return bySeq(a.t.v, b.t.v) })
	return moves, nil
}

// run reads the rows.
func (r *plannedRead) run(ctx context.Context) ([]candidate, error) {
	var rows []any
	var err error
	if r.plain {
		rows, err = r.pool.read.load(ctx, r.query.Keys)
	} else {
		rows, err = r.pool.read.query(ctx, r.query)
	}
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return r.anyView().shape.Load().candidates(r.pool.read, rows)
}

// anyView returns a binding of the read's pool: they agree on what a key is.
func (r *plannedRead) anyView() *View {
	switch {
	case r.asked != nil:
		return r.asked
	case len(r.full) > 0:
		return r.full[0]
	}
	for v := range r.pool.known {
		return v
	}
	return nil // a keyed read is planned only for known bindings
}

// give hands what was read to the bindings that it was read for.
func (s *spread) give(r plannedRead, found []candidate) error {
	if len(r.full) > 0 {
		for i := range found {
			r.pool.share(&found[i])
		}
		if err := s.fill(r, found); err != nil {
			return err
		}
	}
	if !r.keyed && r.asked == nil {
		return nil
	}
	byKey := make(map[Key]*candidate, len(found))
	for i := range found {
		byKey[found[i].key] = &found[i]
	}
	for _, key := range s.keys {
		c := byKey[key]
		var row any
		if c != nil {
			row = c.row
		}
		var err error
		move := func(v *View) {
			if _, full := s.full[v]; full || err != nil {
				return
			}
			t := s.transition(v)
			if c == nil || r.keyed && !t.sh.holds(r.pool.read, row) {
				t.remove(key)
			} else if e := t.put(c); e != nil {
				err = fmt.Errorf("%s: %w", v.describe(), e)
			}
		}
		if r.asked != nil {
			move(r.asked)
		} else {
			r.pool.concerned(key, row, move)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// transition returns the binding's transition, begun when it is first needed.
func (s *spread) transition(v *View) *transition {
	t := s.moves[v]
	if t == nil {
		from := v.current.Load()
		if s.w.reloads[v].forget {
			from = nil
		}
		t = v.begin(v.shape.Load(), from, s.now, &s.buf)
		s.moves[v] = t
	}
	return t
}

// fill gives bindings all the rows that they hold.
func (s *spread) fill(r plannedRead, found []candidate) error {
	rows := make(map[*View][]*candidate, len(r.full))
	if len(r.full) <= fewViews {
		for _, v := range r.full {
			sh := v.shape.Load()
			for i := range found {
				if !sh.inMemory || sh.holds(r.pool.read, found[i].row) {
					rows[v] = append(rows[v], &found[i])
				}
			}
		}
	} else { // an index finds whom a row is for
		ix := index.New[*View]()
		for _, v := range r.full {
			ix.Add(v, v.filter, v.shape.Load().columnOf)
		}
		for i := range found {
			c := &found[i]
			ix.Match(func(column int) value.Value { return r.pool.read.value(c.row, column) }, func(v *View) {
				if v.shape.Load().holds(r.pool.read, c.row) {
					rows[v] = append(rows[v], c)
				}
			})
		}
	}
	for _, v := range r.full {
		all := rows[v]
		t := s.transition(v)
		if v.spec.limit > 0 && len(all) > v.spec.limit {
			all = t.sh.firstRows(r.pool.read, all, v.spec.limit)
		}
		if err := t.replace(all); err != nil {
			return fmt.Errorf("%s: %w", v.describe(), err)
		}
	}
	return nil
}
