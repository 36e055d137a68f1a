package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
)

// State is what the database says about a column.
type State struct {
	exact.Facts
	NotNull bool
	// Default: the database fills the column if an insert leaves it out.
	Default bool
	// Generated: only the database may fill the column.
	Generated bool
	// Computed: an update may change the column without naming it.
	Computed bool
	// Loose: SQLite accepts values of any storage class.
	Loose bool
	// RowID: it is the number by which SQLite keeps the row, and always an integer.
	RowID bool
}

// Describe fills in what follows from the facts about column i.
func (m *Model) Describe(i int, state State) {
	c, pub := &m.Columns[i], &m.Schema.Columns[i]
	c.Facts = state.Facts
	pub.Kind, pub.Exact = exact.Traits(m.DB.Dialect().Name(), c.Field, c.Facts)
	if state == (State{}) { // not asked yet: the model's tags say it
		pub.Nullable = !c.Field.NotNull
		pub.Default = c.Field.AutoIncrement || c.Field.Identity || c.Field.SQLDefault != ""
	} else {
		pub.Nullable, pub.Default, pub.Generated, pub.Computed = !state.NotNull, state.Default, state.Generated, state.Computed
	}
	c.Read, c.Nulls = reader(c.Field, pub.Kind, pub.Nullable)
	if !state.NotNull && c.Nulls != nullsTold {
		// In Go such a row has a value where the database has NULL, and every
		// comparison is decided differently.
		pub.Exact = 0
	}
	if m.Table.HasAfterScanRowHook() || m.Table.HasBeforeScanRowHook() {
		pub.Exact = 0 // the hook may change what was read, and the database knows nothing of it
	}
	c.Class = ""
	if state.Loose && pub.Exact != 0 {
		c.Class = sqliteClasses[exact.SQLiteAffinity(c.Facts.SQLType)]
	}
	c.Rounds = m.rounding(i)
	m.describeSpelling(i)
	m.describeLiterals(i)
}

// Refine returns the model with the database's description of the columns. The
// error names the columns that the table lacks.
func (m *Model) Refine(found []TableColumn) (*Model, error) {
	r := *m
	r.Schema.Columns = slices.Clone(m.Schema.Columns)
	r.Columns = slices.Clone(m.Columns)
	var missing []string
	for i, c := range r.Schema.Columns {
		at := slices.IndexFunc(found, func(f TableColumn) bool {
			return f.Name == c.Name || m.foldsNames() && strings.EqualFold(f.Name, c.Name)
		})
		if at < 0 {
			missing = append(missing, fmt.Sprintf("it has no column %q for the field %s", c.Name, r.Columns[i].Field.GoName))
			continue
		}
		r.Describe(i, found[at].State)
	}
	if len(missing) > 0 {
		names := make([]string, len(found))
		for i, f := range found {
			names[i] = f.Name
		}
		return nil, fmt.Errorf("%s (its columns are %s)", strings.Join(missing, "; "), strings.Join(names, ", "))
	}
	return &r, nil
}

// foldsNames reports whether the database ignores case in column names.
func (m *Model) foldsNames() bool {
	name := m.DB.Dialect().Name()
	return name == dialect.SQLite || name == dialect.MySQL
}
