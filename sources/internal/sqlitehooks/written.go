package sqlitehooks

import (
	"bytes"
	"slices"
	"strings"
)

// written tells which schemas the commit to come changes for certain. SQLite
// calls the hook for an UPDATE that leaves a row as it is, and for a REPLACE by the
// same row, and leaves the file alone then. Such a commit must not pass for one
// that was counted in the file: somebody else's would be taken for it.
type written struct {
	schemas []writtenSchema // most transactions write to one
	values  [2][]any
}

type writtenSchema struct {
	name string
	// certain: the file changes. deleted: the last row was deleted, and perhaps
	// to be replaced by the same.
	certain, deleted bool
}

// note takes note of a row that is about to change.
func (w *written) note(database string, op Op, row Values) {
	if database == tempDatabase || strings.HasPrefix(database, "vacuum_") {
		return
	}
	i := slices.IndexFunc(w.schemas, func(s writtenSchema) bool { return s.name == database })
	if i < 0 {
		i = len(w.schemas)
		w.schemas = append(w.schemas, writtenSchema{name: database})
	}
	s := &w.schemas[i]
	switch {
	case s.certain:
	case op == OpDelete:
		s.certain, s.deleted = s.deleted, true
	case op == OpInsert:
		s.certain, s.deleted = !s.deleted, false
	default:
		s.certain, s.deleted = s.deleted || w.differs(row), false
	}
}

// differs reports whether an UPDATE changes the row, as far as that can be told.
func (w *written) differs(row Values) bool {
	n := row.Count()
	for i := range w.values {
		w.values[i] = sized(w.values[i], n)
	}
	before, after := w.values[0], w.values[1]
	if row.Old(before...) != nil || row.New(after...) != nil {
		return false
	}
	for i := range n {
		if !sameValue(before[i], after[i]) {
			return true
		}
	}
	return false
}

func sameValue(a, b any) bool {
	x, isBytes := a.([]byte)
	y, both := b.([]byte)
	if isBytes || both {
		return isBytes && both && bytes.Equal(x, y)
	}
	return a == b
}

// take returns the names of the schemas that change for certain, and begins anew.
func (w *written) take() (names []string) {
	for _, s := range w.schemas {
		if s.certain || s.deleted {
			names = append(names, s.name)
		}
	}
	w.schemas = w.schemas[:0]
	return names
}
