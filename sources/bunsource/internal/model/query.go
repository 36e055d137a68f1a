package model

import (
	"errors"
	"fmt"
	"slices"

	"github.com/uptrace/bun/schema"
)

// SetKey takes the names for the key columns, or those tagged so.
func (m *Model) SetKey(names []string) error {
	if len(names) == 0 {
		for i := range m.Columns {
			if m.Columns[i].Field.IsPK {
				names = append(names, m.Schema.Columns[i].Name)
			}
		}
	}
	if len(names) == 0 {
		return errors.New("nothing tells its rows apart: name the columns in Key, or mark their fields with `bun:\",pk\"`")
	}
	var errs []error
	for _, name := range names {
		i := m.Schema.Column(name)
		if i < 0 {
			errs = append(errs, fmt.Errorf("its key column %q is no column of type %q", name, m.Table.Type))
			continue
		}
		m.Schema.Key = append(m.Schema.Key, name)
		m.Keys = append(m.Keys, i)
	}
	return errors.Join(errs...)
}

// ScannedFields returns all fields that Bun scans columns into, in their order
// in the struct. Table.Fields lacks those that are only scanned.
func ScannedFields(table *schema.Table) []*schema.Field {
	var fields []*schema.Field
	for _, f := range table.FieldMap { // a field may be there under two names
		if !slices.Contains(fields, f) {
			fields = append(fields, f)
		}
	}
	slices.SortFunc(fields, func(a, b *schema.Field) int { return slices.Compare(a.Index, b.Index) })
	return fields
}
