package sqlitefile

import (
	"encoding/binary"
	"fmt"
)

// Whose a page is.
//
// A written page belongs to one of the given tables, to another tree, or, as an overflow
// page, to a long row or index entry. Or it is free, or part of SQLite's bookkeeping. If
// only a row's overflow pages were written, its own leaf page does not show the change.
// So the owner of each written page must be found: it is not of these tables, or its row
// is reported too.

// attribute finds the owners of the remaining written pages, and adds the rows of the
// tables whose overflow pages are among them. The error is [ErrGap] if a page remains.
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
			continue // its content is out of date
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

// chain is the overflow pages of a long row: the first, and how many.
type chain struct{ first, pages uint32 }

// chainWalk removes rows' overflow pages from the rest.
type chainWalk struct {
	state   *state
	rest    pageSet
	visited int
}

// follow reports whether one of the row's overflow pages is in the rest.
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
