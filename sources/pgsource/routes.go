package pgsource

import (
	"slices"
	"strconv"

	"github.com/binderyhq/bindery/core"
)

// routes say which bound tables the changes of a relation concern, by its oid.
// They are immutable.
type routes map[uint32][]route

type route struct {
	table core.Table
	key   []string
}

func newRoutes(all []*bound) routes {
	r := make(routes)
	for _, b := range all {
		for i := range b.relations {
			oid, err := strconv.ParseUint(b.relations[i].OID, 10, 32)
			if err != nil {
				continue // an oid has 32 bits
			}
			r[uint32(oid)] = append(r[uint32(oid)], route{b.table, b.key})
		}
	}
	return r
}

// sender is a relation as the log describes it.
type sender struct {
	columns []string
	by      *routes // those that the targets were made of
	targets []target
}

// target is a bound table that a sender's changes concern, and where its key
// columns are in the sender's rows; nil where they are not.
type target struct {
	table     core.Table
	positions []int
}

func (s *sender) resolve(id uint32, by *routes) []target {
	if s.by == by {
		return s.targets
	}
	s.by, s.targets = by, nil
	for _, r := range (*by)[id] {
		t := target{table: r.table}
		for _, name := range r.key {
			at := slices.Index(s.columns, name)
			if at < 0 { // left out by a column list, or generated
				t.positions = nil
				break
			}
			t.positions = append(t.positions, at)
		}
		s.targets = append(s.targets, t)
	}
	return s.targets
}
