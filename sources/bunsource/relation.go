package bunsource

import (
	"reflect"
	"slices"

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
// relation, the one with the least key is shown. The binding's filters and order,
// and clients' writes, use columns of its own table only. A condition given to
// [Where] may name the tables that belongs-to relations join, and must then qualify
// the columns of its own table too.
//
// Every related model needs a primary key, as does the junction model of a
// many-to-many relation. Register junction models with (*bun.DB).RegisterModel before
// the binding is declared. If only a join_on condition names a table, its changes are
// not noticed.
func Relation(names ...string) core.Option {
	return core.ForLoader(driver.Terms{Relations: names})
}

var _ driver.RelationLoader[struct{}] = (*Loader[struct{}])(nil)

// WithRelations returns a loader whose rows show related rows too; see
// [Relation] for the names. Calls with the same names return the same loader.
func (l *Loader[T]) WithRelations(names ...string) driver.Loader[T] {
	return sharedLoader[T](l.db, slices.Concat(l.relations, names)...)
}

// Related implements [driver.RelationLoader]. A junction is opaque if its key has
// columns beyond the keys that it links: then shown rows do not tell its key.
func (l *Loader[T]) Related() []driver.Related {
	m, err := l.model()
	if err != nil {
		return nil // as Schema says
	}
	related := make([]driver.Related, len(m.Tables))
	for i, t := range m.Tables {
		h := &m.Relations[t.Relation]
		if t.Junction {
			related[i] = driver.Related{Schema: h.Junction.Schema, Opaque: h.Link == nil}
		} else {
			related[i] = driver.Related{Schema: h.Target.Schema}
		}
	}
	return related
}

// RelatedKeys implements [driver.RelationLoader].
func (l *Loader[T]) RelatedKeys(row *T, related int) []driver.Key {
	m, err := l.model()
	if err != nil || row == nil || related < 0 || related >= len(m.Tables) {
		return nil
	}
	t := m.Tables[related]
	h := &m.Relations[t.Relation]
	from := m.ParentOf(h)
	var keys []driver.Key
	m.Walk(reflect.ValueOf(row).Elem(), t.Relation, func(parent, target reflect.Value) {
		if !t.Junction {
			keys = append(keys, h.Target.KeyOf(target))
			return
		}
		if key, ok := h.LinkKey(from, parent, target); ok {
			keys = append(keys, key)
		}
	})
	return keys
}
