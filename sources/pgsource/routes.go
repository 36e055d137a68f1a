package pgsource

import (
	"slices"
	"strconv"

	"github.com/binderyhq/bindery/core/driver"
)

// routes say which bound tables the changes of a relation concern, according to one
// read of the catalog. They are immutable.
type routes struct {
	byOID map[uint32][]route
	// growing are the tables with partitions or children: they may get further
	// relations, which the routes do not know.
	growing []driver.Table
	// answered: questions up to this one were asked before the catalog was read.
	answered uint64
}

type route struct {
	table driver.Table
	key   []string
}

func newRoutes(all []*bound, answered uint64) *routes {
	r := &routes{byOID: make(map[uint32][]route), answered: answered}
	for _, b := range all {
		for i := range b.relations {
			oid, err := strconv.ParseUint(b.relations[i].OID, 10, 32)
			if err != nil {
				continue // an oid has 32 bits
			}
			r.byOID[uint32(oid)] = append(r.byOID[uint32(oid)], route{b.table, b.key})
		}
		if b.partitioned() || len(b.relations) > 1 {
			r.growing = append(r.growing, b.table)
		}
	}
	return r
}

// sender is a relation as the log describes it.
type sender struct {
	id      uint32
	columns []string
	types   []columnType
	// asked is the number of the catalog read that tells whether the relation
	// concerns a bound table. Until then it may, see [routes.growing].
	asked uint64

	by      *routes // the targets come from these
	targets []target
}

// target is a bound table that a sender's changes concern, and the positions of its
// key columns in the sender's rows; nil if they are missing.
type target struct {
	table     driver.Table
	positions []int
}

func (s *sender) resolve(by *routes) []target {
	if s.by == by {
		return s.targets
	}
	s.by, s.targets = by, nil
	for _, r := range by.byOID[s.id] {
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
	if s.targets == nil && by.answered < s.asked {
		for _, table := range by.growing {
			s.targets = append(s.targets, target{table: table})
		}
	}
	return s.targets
}
