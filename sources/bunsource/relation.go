package bunsource

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/uptrace/bun/schema"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
)

// Relation shows related rows in the binding's rows, as Bun's Relation does:
//
//	tracks := bunsource.Bind[Track](db, "tracks", bunsource.Relation("Album.Artist", "Genre"))
//
// The names are those of the model's fields, and of their models' fields after
// a dot. Every kind of relation that Bun knows can be shown: belongs-to, has-one,
// has-many and many-to-many. A change of a related row, or of a row that links
// two, changes the rows that show it. They are found through the foreign keys,
// which should be indexed.
//
// Children come in the order of their keys. Where several rows meet a has-one
// relation, the one with the least key is shown. Filters and the order of the
// binding are those of its own table; so are the columns that clients write. A
// condition given to [Where] may name what belongs-to relations join, and must
// then name the table of its own columns too.
//
// Every related model needs a primary key, as does the junction model of a
// many-to-many relation, which Bun wants registered ((*bun.DB).RegisterModel) before
// the binding is declared. What is related by other columns than Bun's tags name
// (a join_on that asks a further table) is not noticed to change.
func Relation(names ...string) core.Option {
	return core.ForLoader(driver.Terms{Relations: names})
}

var _ driver.RelationLoader[struct{}] = (*Loader[struct{}])(nil)

// WithRelations returns the loader whose rows show related rows too; see
// [Relation] for the names. There is one for each set of names.
func (l *Loader[T]) WithRelations(names ...string) driver.Loader[T] {
	return sharedLoader[T](l.db, slices.Concat(l.relations, names)...)
}

// relationPaths returns the names and what they lead through, each once, in
// order: "Album.Artist" shows the album too.
func relationPaths(names []string) []string {
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

// hop is one step from rows to the rows that they show.
type hop struct {
	path     string // the names of the fields from the loader's model, with dots
	parent   int    // the hop before, by its position in model.hops; -1: none
	relation *schema.Relation
	target   *model
	junction *model // of many-to-many, or nil
	// The columns that are compared, by their positions: those of the parent's
	// model with those of the target's or, of many-to-many, with those of
	// the junction (near), and others of it (far) with those of the target's.
	base, near, far, join []int
	// link says where the parts of the junction's key are found in the rows that
	// it links; nil if they are not all there.
	link []linkPart
}

// linkPart is a column of the parent or of the target.
type linkPart struct {
	ofTarget bool
	column   int
}

// many reports whether a row shows any number of the target's.
func (h *hop) many() bool {
	return h.relation.Type == schema.HasManyRelation || h.relation.Type == schema.ManyToManyRelation
}

// ambiguous reports whether the join may find several rows where one is shown.
func (h *hop) ambiguous() bool { return !h.many() && !containsAll(h.join, h.target.keys) }

// relatedTable is what core.Related describes: the table that a hop leads
// to, or the junction that it leads through.
type relatedTable struct {
	hop      int
	junction bool
}

// maxParents is how many rows are read at once where each shows any number of
// others: Bun names every one of them in the statements that read the others.
const maxParents = 500

// relate adds the hops of the paths, which are sorted, to the model.
func (m *model) relate(paths []string) (err error) {
	defer func() {
		if p := recover(); p != nil { // Bun's way to complain about a model
			err = modelError(m.table.Type, fmt.Errorf("%v", p))
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
			from = m.hops[parent].target
		}
		h, err := newHop(from, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("relation %q: %w", path, err))
			continue
		}
		h.path, h.parent = path, parent
		at[path] = len(m.hops)
		if h.junction != nil {
			m.tables = append(m.tables, relatedTable{hop: len(m.hops), junction: true})
		}
		m.tables = append(m.tables, relatedTable{hop: len(m.hops)})
		m.hops = append(m.hops, h)
	}
	if len(errs) > 0 {
		return modelError(m.table.Type, errors.Join(errs...))
	}
	if m.showsMany() {
		m.limits.params = min(m.limits.params, maxParents*len(m.keys))
	}
	return nil
}

func newHop(from *model, name string) (hop, error) {
	rel := from.table.Relations[name]
	if rel == nil {
		known := slices.Sorted(maps.Keys(from.table.Relations))
		return hop{}, fmt.Errorf("%s has no relation of that name (it has: %s)", from.table.Type.Name(), strings.Join(known, ", "))
	}
	target, err := newModel(from.db, from.schema.Table.Database, rel.JoinTable.Type)
	if err != nil {
		return hop{}, err
	}
	h := hop{relation: rel, target: target, base: from.positions(rel.BasePKs), join: target.positions(rel.JoinPKs)}
	if rel.Type == schema.ManyToManyRelation {
		if h.junction, err = newModel(from.db, from.schema.Table.Database, rel.M2MTable.Type); err != nil {
			return hop{}, err
		}
		h.near, h.far = h.junction.positions(rel.M2MBasePKs), h.junction.positions(rel.M2MJoinPKs)
		h.link = h.linkParts()
	}
	return h, nil
}

// positions returns where the fields are among the model's columns.
func (m *model) positions(fields []*schema.Field) []int {
	at := make([]int, len(fields))
	for i, f := range fields {
		at[i] = m.schema.Column(f.Name)
	}
	return at
}

func (h *hop) linkParts() []linkPart {
	parts := make([]linkPart, len(h.junction.keys))
	for i, k := range h.junction.keys {
		if at := slices.Index(h.near, k); at >= 0 {
			parts[i] = linkPart{column: h.base[at]}
		} else if at := slices.Index(h.far, k); at >= 0 {
			parts[i] = linkPart{ofTarget: true, column: h.join[at]}
		} else {
			return nil
		}
	}
	return parts
}

// containsAll reports whether all of the columns are among the given ones.
func containsAll(given, columns []int) bool {
	for _, c := range columns {
		if !slices.Contains(given, c) {
			return false
		}
	}
	return true
}

// showsMany reports whether a row shows any number of others, by which reading
// it takes several statements.
func (m *model) showsMany() bool {
	return slices.ContainsFunc(m.hops, func(h hop) bool { return h.many() })
}

// parentOf returns the model that the hop starts from.
func (m *model) parentOf(h *hop) *model {
	if h.parent < 0 {
		return m
	}
	return m.hops[h.parent].target
}

// Related implements [driver.RelationLoader]. A junction whose own key is not made of
// the keys that it links is opaque: rows do not show it.
func (l *Loader[T]) Related() []driver.Related {
	m, err := l.model()
	if err != nil {
		return nil // as Schema says
	}
	related := make([]driver.Related, len(m.tables))
	for i, t := range m.tables {
		h := &m.hops[t.hop]
		if t.junction {
			related[i] = driver.Related{Schema: h.junction.schema, Opaque: h.link == nil}
		} else {
			related[i] = driver.Related{Schema: h.target.schema}
		}
	}
	return related
}

// RelatedKeys implements [driver.RelationLoader].
func (l *Loader[T]) RelatedKeys(row *T, related int) []driver.Key {
	m, err := l.model()
	if err != nil || row == nil || related < 0 || related >= len(m.tables) {
		return nil
	}
	t := m.tables[related]
	h := &m.hops[t.hop]
	from := m.parentOf(h)
	var keys []driver.Key
	m.walk(reflect.ValueOf(row).Elem(), t.hop, func(parent, target reflect.Value) {
		if !t.junction {
			keys = append(keys, h.target.keyOf(target))
			return
		}
		if key, ok := h.linkKey(from, parent, target); ok {
			keys = append(keys, key)
		}
	})
	return keys
}

// linkKey returns the key of the junction's row that links the two.
func (h *hop) linkKey(from *model, parent, target reflect.Value) (driver.Key, bool) {
	if h.link == nil {
		return "", false
	}
	var enc []byte
	for i, p := range h.link {
		of, row := from, parent
		if p.ofTarget {
			of, row = h.target, target
		}
		val, err := h.junction.schema.Columns[h.junction.keys[i]].Convert(of.columns[p.column].read(row))
		if err != nil {
			return "", false // the junction holds no such value
		}
		enc = val.AppendOrdered(enc)
	}
	return driver.Key(enc), true
}

// walk calls visit with every row that the hop leads to from the row, and with
// the row that it was reached from.
func (m *model) walk(row reflect.Value, to int, visit func(parent, target reflect.Value)) {
	h := &m.hops[to]
	if h.parent < 0 {
		h.each(row, func(target reflect.Value) { visit(row, target) })
		return
	}
	m.walk(row, h.parent, func(_, parent reflect.Value) {
		h.each(parent, func(target reflect.Value) { visit(parent, target) })
	})
}

// each calls visit with the rows in the relation's field.
func (h *hop) each(row reflect.Value, visit func(target reflect.Value)) {
	field, ok := h.field(row)
	if !ok {
		return
	}
	if field.Kind() != reflect.Slice {
		visit(field)
		return
	}
	for i := range field.Len() {
		if elem, ok := indirect(field.Index(i)); ok {
			visit(elem)
		}
	}
}

// field returns the relation's field, behind its pointers. It reports false
// where there is nothing.
func (h *hop) field(row reflect.Value) (reflect.Value, bool) {
	field, ok := fieldAt(row, h.relation.Field.Index)
	if !ok {
		return reflect.Value{}, false
	}
	return indirect(field)
}

func indirect(v reflect.Value) (reflect.Value, bool) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return reflect.Value{}, false
		}
		v = v.Elem()
	}
	return v, true
}
