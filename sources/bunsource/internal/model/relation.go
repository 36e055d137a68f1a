package model

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/uptrace/bun/schema"
)

// RelationPaths returns the names and all their prefixes, each once, sorted:
// "Album.Artist" shows the album too.
func RelationPaths(names []string) []string {
	paths := make(map[string]bool)
	for _, name := range names {
		for i := range name {
			if name[i] == '.' {
				paths[name[:i]] = true
			}
		}
		paths[name] = true
	}
	return slices.Sorted(maps.Keys(paths))
}

// Relation is one step from rows to the rows that they show.
type Relation struct {
	Path     string // the names of the fields from the loader's model, with dots
	Parent   int    // the relation before, by its position in Model.Relations; -1: none
	relation *schema.Relation
	Target   *Model
	Junction *Model // of many-to-many, or nil
	// The positions of the columns that the join compares: Base (of the parent)
	// with Join (of the target). In many-to-many, Base with Near and Far with Join,
	// where Near and Far are columns of the junction.
	Base, Near, Far, Join []int
	// Link says where the linked rows hold the parts of the junction's key; nil if
	// they lack one.
	Link []linkPart
}

// linkPart is a column of the parent or of the target.
type linkPart struct {
	ofTarget bool
	column   int
}

// many reports whether a row shows any number of the target's.
func (h *Relation) many() bool {
	return h.relation.Type == schema.HasManyRelation || h.relation.Type == schema.ManyToManyRelation
}

// Ambiguous reports whether the join may find several rows where one is shown.
func (h *Relation) Ambiguous() bool { return !h.many() && !ContainsAll(h.Join, h.Target.Keys) }

// RelatedTable is what driver.Related describes: the table that a relation leads
// to, or the junction that it leads through.
type RelatedTable struct {
	Relation int
	Junction bool
}

// MaxParents bounds the rows of one read if each shows any number of others: Bun
// lists their keys in the statements that read the others.
const MaxParents = 500

// Relate adds the relations of the paths, which are sorted, to the model.
func (m *Model) Relate(paths []string) (err error) {
	defer func() {
		if p := recover(); p != nil { // Bun's way to complain about a model
			err = modelError(m.Table.Type, fmt.Errorf("%v", p))
		}
	}()
	var errs []error
	at := map[string]int{"": -1}
	for _, path := range paths {
		before, name := "", path
		if i := strings.LastIndexByte(path, '.'); i >= 0 {
			before, name = path[:i], path[i+1:]
		}
		parent, ok := at[before]
		if !ok {
			continue // its error is in errs
		}
		from := m
		if parent >= 0 {
			from = m.Relations[parent].Target
		}
		h, err := newRelation(from, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("relation %q: %w", path, err))
			continue
		}
		h.Path, h.Parent = path, parent
		at[path] = len(m.Relations)
		if h.Junction != nil {
			m.Tables = append(m.Tables, RelatedTable{Relation: len(m.Relations), Junction: true})
		}
		m.Tables = append(m.Tables, RelatedTable{Relation: len(m.Relations)})
		m.Relations = append(m.Relations, h)
	}
	if len(errs) > 0 {
		return modelError(m.Table.Type, errors.Join(errs...))
	}
	if m.ShowsMany() {
		m.Limits.Params = min(m.Limits.Params, MaxParents*len(m.Keys))
	}
	return nil
}

func newRelation(from *Model, name string) (Relation, error) {
	rel := from.Table.Relations[name]
	if rel == nil {
		known := slices.Sorted(maps.Keys(from.Table.Relations))
		return Relation{}, fmt.Errorf("%s has no relation of that name (it has: %s)", from.Table.Type.Name(), strings.Join(known, ", "))
	}
	target, err := New(from.DB, from.Schema.Table.Database, rel.JoinTable.Type)
	if err != nil {
		return Relation{}, err
	}
	h := Relation{relation: rel, Target: target, Base: from.positions(rel.BasePKs), Join: target.positions(rel.JoinPKs)}
	if rel.Type == schema.ManyToManyRelation {
		if h.Junction, err = New(from.DB, from.Schema.Table.Database, rel.M2MTable.Type); err != nil {
			return Relation{}, err
		}
		h.Near, h.Far = h.Junction.positions(rel.M2MBasePKs), h.Junction.positions(rel.M2MJoinPKs)
		h.Link = h.linkParts()
	}
	return h, nil
}

// positions returns where the fields are among the model's columns.
func (m *Model) positions(fields []*schema.Field) []int {
	at := make([]int, len(fields))
	for i, f := range fields {
		at[i] = m.Schema.Column(f.Name)
	}
	return at
}

func (h *Relation) linkParts() []linkPart {
	parts := make([]linkPart, len(h.Junction.Keys))
	for i, k := range h.Junction.Keys {
		if at := slices.Index(h.Near, k); at >= 0 {
			parts[i] = linkPart{column: h.Base[at]}
		} else if at := slices.Index(h.Far, k); at >= 0 {
			parts[i] = linkPart{ofTarget: true, column: h.Join[at]}
		} else {
			return nil
		}
	}
	return parts
}

// ContainsAll reports whether all of the columns are among the given ones.
func ContainsAll(given, columns []int) bool {
	for _, c := range columns {
		if !slices.Contains(given, c) {
			return false
		}
	}
	return true
}

// ShowsMany reports whether a row shows any number of others. Then a read takes
// several statements.
func (m *Model) ShowsMany() bool {
	return slices.ContainsFunc(m.Relations, func(h Relation) bool { return h.many() })
}

// ParentOf returns the model that the relation starts from.
func (m *Model) ParentOf(h *Relation) *Model {
	if h.Parent < 0 {
		return m
	}
	return m.Relations[h.Parent].Target
}

// Inline reports whether the same statement reads the related rows, because each row
// has at most one.
func (m *Model) Inline(h *Relation) bool {
	for ; ; h = &m.Relations[h.Parent] {
		if h.many() {
			return false
		}
		if h.Parent < 0 {
			return true
		}
	}
}
