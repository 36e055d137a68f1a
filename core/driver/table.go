package driver

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// Table names a table (or a view, a file: whatever a [Loader] reads) of one
// database. It is comparable; two bindings whose loaders name the same Table
// share one feed, and so every read.
type Table struct {
	// Database tells the databases of one registry apart. The zero value is
	// the usual one: programs with a single database need no name for it.
	Database string
	// Schema is the database's own name space, "" for the connection's default.
	Schema string
	// Name is the table's name as the database spells it. In a [Change], and
	// only there, "" stands for every table of the database.
	Name string
}

// String returns the name as people write it: schema.name, with the database
// in front where it has a name.
func (t Table) String() string {
	s := t.Name
	if t.Schema != "" {
		s = t.Schema + "." + s
	}
	if t.Database != "" {
		s = t.Database + ":" + s
	}
	return s
}

// matches reports whether the table is the one that a user has named.
func (t Table) matches(named Table) bool {
	return t.Name == named.Name && t.Database == named.Database && (named.Schema == "" || t.Schema == named.Schema)
}

// Column describes one column of a table.
type Column struct {
	// Name is the column's name in the database.
	Name string
	// JSON is the field's name in encoded rows, "" when rows do not show it.
	JSON string
	// Path leads to the column's field where rows show it inside of other
	// objects: the names of the members from the outermost on, the field's own
	// last. JSON is "" then, since no member of the row is the column's alone. nil
	// says that there is no such field.
	Path []string
	// Kind is the kind of value that the column holds; every value of the
	// column that reaches the engine is converted to it.
	Kind value.Kind
	// Nullable says whether the column may hold NULL.
	Nullable bool
	// Default says that the database fills the column in when an insert does
	// not name it; a nullable column need not say so.
	Default bool
	// Generated says that the database alone decides the value: clients
	// cannot write it.
	Generated bool
	// Computed says that the database computes the value from other columns, or
	// sets it with every update: a statement may change it without naming it.
	Computed bool
	// Exact says which comparisons Go provably makes as the database does.
	// The zero value is none: filters on the column are then asked of the
	// database.
	Exact filter.Exactness
	// Parse, when set, reads a value of the column from text as clients spell it,
	// and returns it in Kind as rows have it: a type may read more spellings than
	// it writes. nil stands for [value.Parse]. It does no input or output.
	Parse func(text string) (value.Value, error)
	// Canonical, when set, spells a value of Kind as rows have it, where the
	// database reads several spellings as one value (the upper case of a uuid). A
	// value that no row can have is returned as it is. Every key, every argument
	// and every literal of a filter passes it, so that what compares equal in the
	// database is one value here. It does no input or output.
	Canonical func(v value.Value) value.Value
	// Ambiguous says that one value of the column has several texts, which depend
	// on the settings of the session that writes them (an interval): the text in a
	// database's log does not name a row then.
	Ambiguous bool
	// Check, when set, says why the database would refuse to compare the column
	// with the value, in words that a client may see ("is out of range"); "" when
	// it would not. It does no input or output.
	Check func(v value.Value) string
	// Asked says that only the database knows which values it refuses: see
	// [LiteralChecker].
	Asked bool
}

// parse reads a value of the column from text: as clients spell it, or as keys do.
// A type with a text form of its own need not read the latter, which is how
// messages and tokens name its rows.
func (c *Column) parse(text string) (value.Value, error) {
	if c.Parse != nil {
		v, err := c.Parse(text)
		if err == nil {
			return c.Spell(v), nil
		}
		if v, keyErr := value.Parse(c.Kind, text); keyErr == nil && c.Kind != value.KindText {
			return c.Spell(v), nil
		}
		return v, err
	}
	v, err := value.Parse(c.Kind, text)
	if err != nil {
		return v, err
	}
	return c.Spell(v), nil
}

// Convert returns a Go value as a value of the column: of its Kind, and spelled as
// rows have it. The errors are those of [value.Convert].
func (c *Column) Convert(v any) (value.Value, error) {
	val, err := value.Convert(v, c.Kind)
	if err != nil {
		return val, err
	}
	return c.Spell(val), nil
}

// Spell returns the value as rows spell it; see Canonical.
func (c *Column) Spell(v value.Value) value.Value {
	if c.Canonical == nil || v.IsNull() {
		return v
	}
	return c.Canonical(v)
}

// Schema describes the table a [Loader] reads: its name, its columns and its
// key. It is a value; whoever receives one does not modify its slices.
type Schema struct {
	Table   Table
	Columns []Column
	// Key names the key columns, in key order. There is at least one; but a
	// table that bindings only depend on is shown to sources with no columns and
	// no key, and then reported as a whole.
	Key []string
	// Depends are the tables that the rows are made of, where that is not Table
	// itself: those that a query joins, or that a view reads. Sources watch these
	// instead; when one of them changes, all rows are read again. It is the same
	// whenever the loader is asked. See also [DependsOn].
	Depends []Table
	// Shown says that the rows of other tables, or further rows of this one, show
	// rows of the table, so that a commit of a single row changes several
	// at once. Sources that announce commits announce those of one row too
	// then. Only [Sink.Tables] sets it.
	Shown bool
}

// Column returns the position of the named column, or -1.
func (s Schema) Column(name string) int {
	return slices.IndexFunc(s.Columns, func(c Column) bool { return c.Name == name })
}

// MakeKey builds the key of a row from the values of its key columns, in key
// order. Values are converted to the columns' kinds and spelled as rows have them,
// so that an int32, an int64 and "7" from a log all give the same key. The error names the column.
func (s Schema) MakeKey(values ...any) (Key, error) {
	if len(values) != len(s.Key) {
		return "", fmt.Errorf("driver: table %q has a key of %d columns (%s), got %d values",
			s.Table, len(s.Key), strings.Join(s.Key, ", "), len(values))
	}
	var enc []byte
	for i, v := range values {
		val, err := s.convertPart(i, v)
		if err != nil {
			return "", fmt.Errorf("driver: key column %q of table %q: %w", s.Key[i], s.Table, err)
		}
		enc = val.AppendOrdered(enc)
	}
	return Key(enc), nil
}

// ParseKey builds a key from its parts in text form, as [Key.Parts] gives
// them; see [value.Parse]. The error names the column.
func (s Schema) ParseKey(parts ...string) (Key, error) {
	if len(parts) != len(s.Key) {
		return "", fmt.Errorf("driver: table %q has a key of %d columns (%s), got %d parts",
			s.Table, len(s.Key), strings.Join(s.Key, ", "), len(parts))
	}
	var enc []byte
	for i, p := range parts {
		val, err := s.parsePart(i, p)
		if err != nil {
			return "", fmt.Errorf("driver: key column %q of table %q: %w", s.Key[i], s.Table, err)
		}
		enc = val.AppendOrdered(enc)
	}
	return Key(enc), nil
}

// parsePart reads the i-th part of a key. A column that is not there is refused at
// start.
func (s Schema) parsePart(i int, text string) (value.Value, error) {
	if c := s.Column(s.Key[i]); c >= 0 {
		return s.Columns[c].parse(text)
	}
	return value.Parse(value.KindNull, text)
}

// convertPart returns a Go value as the i-th part of a key. The checks at start
// refuse a schema without the column.
func (s Schema) convertPart(i int, v any) (value.Value, error) {
	if c := s.Column(s.Key[i]); c >= 0 {
		return s.Columns[c].Convert(v)
	}
	return value.Convert(v, value.KindNull)
}

// Validate returns everything wrong with the schema.
func (s Schema) Validate() error {
	var errs []error
	if s.Table.Name == "" {
		errs = append(errs, errors.New("its loader names no table"))
	}
	seen := make(map[string]bool, len(s.Columns))
	for _, c := range s.Columns {
		if seen[c.Name] {
			errs = append(errs, fmt.Errorf("table %q: column %q is declared twice", s.Table, c.Name))
		}
		seen[c.Name] = true
	}
	if len(s.Key) == 0 {
		errs = append(errs, fmt.Errorf("table %q has no key: a binding needs a primary key to tell its rows apart", s.Table))
	}
	for _, k := range s.Key {
		if !seen[k] {
			errs = append(errs, fmt.Errorf("table %q: key column %q is not among its columns (%s)", s.Table, k, s.ColumnNames()))
		}
	}
	return errors.Join(errs...)
}

func (s Schema) ColumnNames() string {
	names := make([]string, len(s.Columns))
	for i, c := range s.Columns {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}

// Sources returns the tables whose changes concern the binding.
func (s Schema) Sources() []Table {
	if len(s.Depends) > 0 {
		return s.Depends
	}
	return []Table{s.Table}
}

// Adopt returns the key in the kinds of this schema's columns: who reported it
// may know the table by another model. It reports false for what is no key of
// the table.
func (s Schema) Adopt(k Key) (Key, bool) {
	vals, err := k.Values()
	if err != nil {
		return "", false
	}
	parts := make([]any, len(vals))
	for i, v := range vals {
		parts[i] = v
	}
	adopted, err := s.MakeKey(parts...)
	return adopted, err == nil
}

// KeyFor makes a key of Go values, one for each key column in key order, which
// it converts to the columns' kinds. The error names a value that does not fit.
func (s Schema) KeyFor(values ...any) (Key, error) {
	if len(values) != len(s.Key) {
		return "", fmt.Errorf("driver: a key of table %q has %d values, given are %d", s.Table, len(s.Key), len(values))
	}
	enc := make([]byte, 0, 16*len(values))
	for i, given := range values {
		c := s.Column(s.Key[i])
		if c < 0 {
			return "", fmt.Errorf("driver: table %q has no key column %q", s.Table, s.Key[i])
		}
		v, err := s.Columns[c].Convert(given)
		if err != nil {
			return "", fmt.Errorf("driver: key column %q of table %q: %w", s.Key[i], s.Table, err)
		}
		enc = v.AppendOrdered(enc)
	}
	return Key(enc), nil
}

// Spelled returns the filter with its literals spelled as rows spell them, see
// [Column.Canonical]. Literals that do not convert to their columns' kinds are left
// to the filter's check.
func (s Schema) Spelled(e filter.Expr) filter.Expr {
	if !slices.ContainsFunc(s.Columns, func(c Column) bool { return c.Canonical != nil }) {
		return e
	}
	return filter.Rewrite(e, func(column string, literal any) any {
		i := s.Column(column)
		if i < 0 || s.Columns[i].Canonical == nil {
			return literal
		}
		v, err := s.Columns[i].Convert(literal)
		if err != nil {
			return literal
		}
		return v
	})
}
