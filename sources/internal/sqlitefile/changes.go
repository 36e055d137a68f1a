package sqlitefile

import (
	"fmt"
	"slices"
)

// changes finds the rows that differ between two states of a database.
type changes struct {
	was, is state
	pages   uint32 // of the database

	changed pageSet // that were written between them
}

// The first bytes of a page on which a row goes on, and of a page that lists free ones,
// are a page's number. In a database with fewer pages they are unlike the kind of any
// page of a tree.
const maxPages = 0x02000000

// keys returns the keys of the rows that differ. commits is the number of commits between
// the states.
func (c *changes) keys(of []Table, commits uint32) (map[uint32][][]any, error) {
	l := c.is.log
	if n := l.commitsBetween(c.was.upTo, c.is.upTo); n != commits {
		return nil, fmt.Errorf("%w: it has %d commits of %d", ErrGap, n, commits)
	}
	if c.pages >= maxPages {
		return nil, fmt.Errorf("%w: the database is too large", ErrGap)
	}
	c.changed = make(pageSet)
	for number, frames := range l.frames {
		if i, _ := slices.BinarySearch(frames, c.was.upTo+1); i < len(frames) && frames[i] <= c.is.upTo {
			c.changed[number] = true
		}
	}
	if err := c.sameSchema(); err != nil {
		return nil, err
	}
	rest := make(pageSet, len(c.changed)) // pages whose owner is not known yet
	for number := range c.changed {
		rest[number] = true
	}
	delete(rest, 1)
	var tables []*tableChanges
	for _, table := range of {
		t, err := c.table(table, rest)
		if err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	if err := c.attribute(rest, tables); err != nil {
		return nil, err
	}
	keys := make(map[uint32][][]any, len(tables))
	for _, t := range tables {
		if len(t.rows) > maxRows {
			return nil, fmt.Errorf("%w: they are too many", ErrGap)
		}
		for id, cells := range t.rows {
			for _, cell := range cells {
				key, err := t.key(id, cell)
				if err != nil {
					return nil, err
				}
				keys[t.Root] = append(keys[t.Root], key)
			}
		}
	}
	return keys, nil
}

// sameSchema returns an error when the schema was changed: tables may have other root
// pages then.
func (c *changes) sameSchema() error {
	if !c.changed[1] {
		return nil
	}
	was, err := c.was.page(1)
	if err != nil {
		return err
	}
	is, err := c.is.page(1)
	if err != nil {
		return err
	}
	if was.schemaCookie() != is.schemaCookie() {
		return fmt.Errorf("%w: the schema was changed", ErrGap)
	}
	return nil
}

// tableChanges are the changes of one table.
type tableChanges struct {
	Table
	rows   map[int64][]string // their cells, before and now
	leaves []page             // the written leaf pages, in their present state
}

// key returns the key of a row that has the number and the cell.
func (t *tableChanges) key(id int64, cell string) ([]any, error) {
	_, n := varint([]byte(cell))
	_, m := varint([]byte(cell[n:]))
	key, err := record(cell[n+m:]).columns(t.Key)
	if err == nil && t.Number && key[0] == nil {
		key[0] = id
	}
	return key, err
}

// table finds the rows of a table whose cells differ. It takes the table's pages out of
// rest.
func (c *changes) table(of Table, rest pageSet) (*tableChanges, error) {
	t := &tableChanges{Table: of, rows: make(map[int64][]string)}
	root := of.Root
	now, err := c.is.tree(root)
	if err != nil {
		return nil, err
	}
	before := now
	if slices.ContainsFunc(now.interior, func(number uint32) bool { return c.changed[number] }) || c.changed[root] {
		if before, err = c.was.tree(root); err != nil {
			return nil, err
		}
	}
	old, current := before.leavesBut(now), now.leavesBut(before)
	for _, tree := range []tree{before, now} {
		for _, pages := range [][]uint32{tree.interior, tree.leaves} {
			for _, number := range pages {
				delete(rest, number)
			}
		}
	}
	for _, number := range now.leaves {
		if c.changed[number] {
			current = append(current, number)
		}
	}
	for _, number := range before.leaves {
		if c.changed[number] {
			old = append(old, number)
		}
	}
	was := make(map[int64]string)
	for _, number := range old {
		p, err := c.was.page(number)
		if err != nil {
			return nil, err
		}
		if err := p.rows(func(id int64, cell []byte, _ chain) { was[id] = string(cell) }); err != nil {
			return nil, err
		}
	}
	is := make(map[int64]bool)
	for _, number := range current {
		p, err := c.is.page(number)
		if err != nil {
			return nil, err
		}
		t.leaves = append(t.leaves, p)
		err = p.rows(func(id int64, cell []byte, _ chain) {
			is[id] = true
			switch old, ok := was[id]; {
			case !ok:
				t.rows[id] = []string{string(cell)}
			case old != string(cell):
				t.rows[id] = []string{old, string(cell)}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	for id, cell := range was {
		if !is[id] {
			t.rows[id] = []string{cell}
		}
	}
	return t, nil
}

// tree are the pages of a table.
type tree struct{ interior, leaves []uint32 }

// leavesBut returns the leaves that the other tree has not.
func (t tree) leavesBut(o tree) (only []uint32) {
	if len(t.leaves) == len(o.leaves) && len(t.leaves) > 0 && &t.leaves[0] == &o.leaves[0] {
		return nil // both trees are equal
	}
	others := make(pageSet, len(o.leaves))
	for _, number := range o.leaves {
		others[number] = true
	}
	for _, number := range t.leaves {
		if !others[number] {
			only = append(only, number)
		}
	}
	return only
}

// tree returns the pages of a table. All leaves are equally deep, so only the pages above
// them are read.
func (s *state) tree(root uint32) (t tree, err error) {
	level := []uint32{root}
	for range maxDepth {
		first, err := s.page(level[0])
		if err != nil {
			return t, err
		}
		if first.kind() == leafTable {
			t.leaves = level
			return t, nil
		}
		var below []uint32
		for _, number := range level {
			p, err := s.page(number)
			if err != nil {
				return t, err
			}
			if t.interior = append(t.interior, number); len(t.interior) > maxVisited {
				return t, fmt.Errorf("%w: a table is too large", ErrGap)
			}
			if below, err = p.children(below); err != nil {
				return t, err
			}
		}
		level = below
	}
	return t, fmt.Errorf("%w: a table is too deep", ErrGap)
}
