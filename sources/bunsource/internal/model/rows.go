package model

import (
	"cmp"
	"reflect"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
)

// LinkKey returns the key of the junction's row that links parent and target. It
// reports false if there can be none.
func (h *Relation) LinkKey(from *Model, parent, target reflect.Value) (driver.Key, bool) {
	if h.Link == nil {
		return "", false
	}
	var enc []byte
	for i, p := range h.Link {
		of, row := from, parent
		if p.ofTarget {
			of, row = h.Target, target
		}
		val, err := h.Junction.Schema.Columns[h.Junction.Keys[i]].Convert(of.Columns[p.column].Read(row))
		if err != nil {
			return "", false // the junction holds no such value
		}
		enc = val.AppendOrdered(enc)
	}
	return driver.Key(enc), true
}

// Walk calls visit with every row that the relation leads to from the row, and with
// the row that it was reached from.
func (m *Model) Walk(row reflect.Value, to int, visit func(parent, target reflect.Value)) {
	h := &m.Relations[to]
	if h.Parent < 0 {
		h.each(row, func(target reflect.Value) { visit(row, target) })
		return
	}
	m.Walk(row, h.Parent, func(_, parent reflect.Value) {
		h.each(parent, func(target reflect.Value) { visit(parent, target) })
	})
}

// each calls visit with the rows in the relation's field.
func (h *Relation) each(row reflect.Value, visit func(target reflect.Value)) {
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
func (h *Relation) field(row reflect.Value) (reflect.Value, bool) {
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

// Choice returns the keys of the related rows that are shown where a join may find
// several.
func (m *Model) Choice(row reflect.Value) []driver.Key {
	var keys []driver.Key
	for i := range m.Relations {
		if h := &m.Relations[i]; h.Ambiguous() {
			m.Walk(row, i, func(_, target reflect.Value) { keys = append(keys, h.Target.KeyOf(target)) })
		}
	}
	return keys
}

// NormaliseRelated makes the related rows of a row that was just read look the
// same whatever the process and the database: times in UTC, children in the
// order of their keys.
func (m *Model) NormaliseRelated(row reflect.Value) {
	for i := range m.Relations {
		h := &m.Relations[i]
		m.Walk(row, i, func(_, target reflect.Value) { h.Target.Normalise(target) })
		if !h.many() {
			continue
		}
		if h.Parent < 0 {
			h.sort(row)
			continue
		}
		m.Walk(row, h.Parent, func(_, parent reflect.Value) { h.sort(parent) })
	}
}

// sort brings the children in the relation's field into the order of their
// keys.
func (h *Relation) sort(row reflect.Value) {
	field, ok := h.field(row)
	if !ok || field.Len() < 2 {
		return
	}
	type child struct {
		key driver.Key
		at  int
	}
	children := make([]child, field.Len())
	for i := range children {
		children[i].at = i
		if elem, ok := indirect(field.Index(i)); ok {
			children[i].key = h.Target.KeyOf(elem)
		}
	}
	byKey := func(a, b child) int { return cmp.Compare(a.key, b.key) }
	if slices.IsSortedFunc(children, byKey) {
		return
	}
	slices.SortStableFunc(children, byKey)
	sorted := reflect.MakeSlice(field.Type(), len(children), len(children))
	for i, c := range children {
		sorted.Index(i).Set(field.Index(c.at))
	}
	field.Set(sorted)
}

// Normalise makes a row that was just read look the same whatever the time
// zone of the session, the driver or the process: times are in UTC, and so is
// their JSON.
func (m *Model) Normalise(strct reflect.Value) {
	for _, t := range m.times {
		if v, ok := fieldAt(strct, t.index); ok {
			t.set(v)
		}
	}
}
