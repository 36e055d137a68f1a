package core

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/index"
	"github.com/binderyhq/bindery/core/value"
)

// spread gives the rows that a batch has read to the bindings that they
// concern, and gathers the transitions that these make of them.
type spread struct {
	w     work
	full  map[*publisher]struct{} // to be read in full
	now   time.Time
	moves map[*publisher]*transition
	buf   []byte
}

// execute runs the plan and prepares the transitions of all bindings
// concerned, in the order in which these came. Bindings that must be read in full
// after all, as their windows show, are returned as unsettled, or else
// read too, when refill is set.
func (f *feed) execute(ctx context.Context, p plan, w work, refill bool) (moves []move, unsettled []*publisher, err error) {
	s := &spread{w: w, full: make(map[*publisher]struct{}), now: f.now(), moves: make(map[*publisher]*transition)}
	if err := s.run(ctx, p); err != nil {
		return nil, nil, err
	}
	unsettled = s.settle()
	if len(unsettled) > 0 && refill {
		f.mu.Lock()
		f.stats.Refills += uint64(len(unsettled))
		f.mu.Unlock()
		for _, v := range unsettled {
			delete(s.moves, v)
		}
		if err := s.run(ctx, f.planFull(unsettled)); err != nil {
			return nil, nil, err
		}
		unsettled = s.settle()
	}
	moves = make([]move, 0, len(s.moves))
	for v, t := range s.moves {
		moves = append(moves, move{t: t, how: w.reloads[v]})
	}
	slices.SortFunc(moves, func(a, b move) int { return bySeq(a.t.v, b.t.v) })
	return moves, unsettled, nil
}

// run runs the plan's reads.
func (s *spread) run(ctx context.Context, p plan) error {
	for _, r := range p.reads {
		for _, v := range r.full {
			s.full[v] = struct{}{}
		}
		for v := range r.newer {
			s.full[v] = struct{}{}
		}
	}
	for _, r := range p.reads {
		found, err := r.run(ctx)
		if err != nil {
			return err
		}
		if err := s.give(r, found); err != nil {
			return err
		}
	}
	return nil
}

// settle ends the transitions, and returns the bindings of which it could not,
// in the order in which they came.
func (s *spread) settle() []*publisher {
	unsettled := make(map[*publisher]struct{})
	for v, t := range s.moves {
		if !t.settle() {
			unsettled[v] = struct{}{}
		}
	}
	return inOrder(unsettled)
}

// run reads the rows.
func (r *plannedRead) run(ctx context.Context) ([]candidate, error) {
	if r.newer != nil {
		return r.found, nil
	}
	var rows []any
	var err error
	if r.plain {
		rows, err = r.pool.read.load(ctx, r.query.Keys)
	} else {
		rows, err = r.pool.read.query(ctx, r.query)
	}
	switch {
	case err != nil && len(r.full) == 1: // asked for what this one declares
		return nil, fmt.Errorf("%s: %w", r.full[0].describe(), err)
	case err != nil || len(rows) == 0:
		return nil, err
	}
	return r.anyView().shape.Load().candidates(r.pool.read, rows)
}

// anyView returns a binding of the read's pool: they agree on what a key is.
func (r *plannedRead) anyView() *publisher {
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
	byKey := make(map[driver.Key]*candidate, len(found))
	for i := range found {
		byKey[found[i].key] = &found[i]
	}
	for _, key := range r.keys {
		c := byKey[key]
		var row any
		if c != nil {
			row = c.row
		}
		get := func(column int) value.Value { return r.pool.read.value(row, column) }
		var err error
		move := func(v *publisher) {
			if _, full := s.full[v]; full || err != nil {
				return
			}
			found := c
			if c != nil && r.keyed && !v.shape.Load().meets(get) {
				found = nil
			}
			switch {
			case v.untouched(key, found):
			case found == nil:
				s.transition(v).remove(key)
			default:
				if e := s.transition(v).put(c); e != nil {
					err = fmt.Errorf("%s: %w", v.describe(), e)
				}
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
func (s *spread) transition(v *publisher) *transition {
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
	rows := make(map[*publisher][]*candidate, len(r.full))
	if len(r.full) <= fewViews {
		for _, v := range r.full {
			sh := v.shape.Load()
			for i := range found {
				if r.query.Limit > 0 || !sh.inMemory || sh.holds(r.pool.read, found[i].row) {
					rows[v] = append(rows[v], &found[i])
				}
			}
		}
	} else { // an index finds whom a row is for
		ix := index.New[*publisher]()
		for _, v := range r.full {
			ix.Add(v, v.filter, v.shape.Load().columnOf)
		}
		for i := range found {
			c := &found[i]
			get := func(column int) value.Value { return r.pool.read.value(c.row, column) }
			ix.Match(get, func(v *publisher) {
				if v.shape.Load().meets(get) {
					rows[v] = append(rows[v], c)
				}
			})
		}
	}
	for _, v := range r.full {
		all := rows[v]
		t, reach := s.transition(v), v.reach()
		complete := reach == 0 || len(all) < reach || len(all) == reach && r.query.Limit == 0
		switch {
		case reach == 0 || len(all) <= reach:
		case t.sh.collated: // they came in order
			all = all[:reach]
		default:
			all = t.sh.firstRows(r.pool.read, all, reach)
		}
		var err error
		if t.window != nil {
			err = t.refill(all, complete)
		} else {
			err = t.replace(all)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", v.describe(), err)
		}
	}
	return nil
}
