package sqlitefile

import (
	"encoding/binary"
	"fmt"
)

// Whose a page is.
//
// A page that was written belongs to one of the tables looked at, to another tree, to a
// long row or a long entry of an index that goes on there, or to nobody: it is free, or
// it keeps SQLite's books of other pages. A row of the tables looked at has changed
// without a trace in its own leaf page when only a page was written on which it goes on.
// So each such page must be found to be somebody else's, or that row is told, too.

// attribute finds out whose the rest of the written pages are, and adds the rows of the
// tables that go on there. The error is [ErrGap] when it does not find out for all.
func (c *changes) attribute(rest pageSet, tables []*tableChanges) error {
	var trees []page
	for number := range rest {
		p, err := c.is.page(number)
		if err != nil {
			return err
		}
		switch p.kind() {
		case leafTable, interiorTable, leafIndex, interiorIndex:
			p.number = number
			trees = append(trees, p)
			delete(rest, number)
		}
	}
	if len(rest) == 0 {
		return nil
	}
	first, err := c.is.page(1)
	if err != nil {
		return err
	}
	if first.autoVacuum() {
		for number := range rest {
			if first.mapsPages(number) {
				delete(rest, number)
			}
		}
	}
	walk := chainWalk{state: &c.is, rest: rest}
	for _, t := range tables {
		for _, p := range t.leaves {
			var ids []int64
			var cells []string
			var chains []chain
			err := p.rows(func(id int64, cell []byte, more chain) {
				if more.pages > 0 {
					ids, cells, chains = append(ids, id), append(cells, string(cell)), append(chains, more)
				}
			})
			if err != nil {
				return err
			}
			for i, more := range chains {
				met, err := walk.follow(more)
				if err != nil {
					return err
				}
				if met && t.rows[ids[i]] == nil {
					t.rows[ids[i]] = []string{cells[i]}
				}
			}
		}
	}
	if len(rest) == 0 {
		return nil
	}
	free, err := c.is.free(first)
	if err != nil {
		return err
	}
	for number := range rest {
		if free[number] {
			delete(rest, number)
		}
	}
	for _, p := range trees {
		if len(rest) == 0 {
			return nil
		}
		if free[p.number] {
			continue // what it says is out of date
		}
		chains, err := p.chains()
		if err != nil {
			return err
		}
		for _, more := range chains {
			if _, err := walk.follow(more); err != nil {
				return err
			}
		}
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: pages were written on which unknown rows go on", ErrGap)
	}
	return nil
}

// chain is where a long row goes on: so many pages, from the first on.
type chain struct{ first, pages uint32 }

// chainWalk takes pages out of the rest on which rows go on.
type chainWalk struct {
	state   *state
	rest    pageSet
	visited int
}

// follow reports whether the row goes on in one of the rest's pages.
func (w *chainWalk) follow(more chain) (met bool, err error) {
	next := more.first
	for range more.pages {
		if w.visited++; w.visited > maxChained {
			return met, fmt.Errorf("%w: rows are too long", ErrGap)
		}
		if w.rest[next] {
			met = true
			delete(w.rest, next)
		}
		p, err := w.state.page(next)
		if err != nil {
			return met, err
		}
		next = binary.BigEndian.Uint32(p.data)
	}
	return met, nil
}

// free returns the pages that are free, and those that list them: see "The Freelist".
func (s *state) free(first page) (pageSet, error) {
	free := make(pageSet)
	trunk := binary.BigEndian.Uint32(first.data[32:])
	for range maxTrunks {
		if trunk == 0 {
			return free, nil
		}
		p, err := s.page(trunk)
		if err != nil {
			return nil, err
		}
		free[trunk] = true
		n := binary.BigEndian.Uint32(p.data[4:])
		if n > uint32(p.usable/4-2) {
			return nil, errDamaged
		}
		for i := range n {
			free[binary.BigEndian.Uint32(p.data[8+4*i:])] = true
		}
		trunk = binary.BigEndian.Uint32(p.data)
	}
	return nil, fmt.Errorf("%w: too many pages are free", ErrGap)
}
