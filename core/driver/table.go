package driver

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// Table names a table, or whatever else a [Loader] reads (a view, a file), in one database.
// It is comparable; two bindings whose loaders name the same Table share one feed, and so
// every read.
type Table struct {
	// Database distinguishes the databases of one registry. Programs with a single database
	// leave it empty.
	Database string
	// Schema is the table's schema in the database, "" for the connection's default.
	Schema string
	// Name is the table's name as the database spells it. Only in a [Change], "" means
	// every table of the database.
	Name string
}

// String returns schema.name, preceded by the database and a colon if it has a name.
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

// matches reports whether the table is the one that a user named.
func (t Table) matches(named Table) bool {
	return t.Name == named.Name && t.Database == named.Database && (named.Schema == "" || t.Schema == named.Schema)
}

// Column describes one column of a table.
type Column struct {
	// Name is the column's name in the database.
	Name string
	// JSON is the field's name in encoded rows, "" when they do not show it.
	JSON string
	// Path is the path to the column's field when rows show it inside nested objects: the
	// member names from the outermost on, ending with the field's own. JSON is "" then,
	// since no member of the row belongs to the column alone. nil means that there is no
	// such field.
	Path []string
	// Kind is the kind of value that the column holds; the engine converts every value of
	// the column to it.
	Kind value.Kind
	// Nullable says whether the column may hold NULL.
	Nullable bool
	// Default says that the database fills the column in when an insert omits it. Nullable
	// columns need not set it.
	Default bool
	// Generated says that the database alone decides the value: clients
	// cannot write it.
	Generated bool
	// Computed says that the database computes the value from other columns, or sets it on
	// every update: a statement may change the column without naming it.
	Computed bool
	// Exact says which comparisons Go provably makes as the database does. By default there
	// are none, so the database evaluates filters on the column.
	Exact filter.Exactness
	// Parse, when set, reads a value of the column from a client's text and returns it in
	// Kind, spelled as rows spell it: a type may read more spellings than it writes. nil
	// means [value.Parse]. It does no I/O.
	Parse func(text string) (value.Value, error)
	// Canonical, when set, converts a value of Kind to the spelling used in rows, where the
	// database treats several spellings as one value (an upper-case uuid). It returns a
	// value that no row can have as it is. The engine applies it to every key, argument and
	// filter literal, so that values equal in the database are equal here. It does no I/O.
	Canonical func(v value.Value) value.Value
	// Ambiguous says that one value of the column has several texts, depending on the
	// settings of the session that writes it (an interval). A text from the database's log
	// then cannot identify a row.
	Ambiguous bool
	// Check, when set, returns why the database would refuse to compare the column with the
	// value, in words that a client may see ("is out of range"), or "" when it would accept
	// it. It does no I/O.
	Check func(v value.Value) string
	// Asked says that only the database knows which values it accepts, see
	// [LiteralChecker].
	Asked bool
}

// parse reads a value of the column from text, in a client's spelling or in that of keys.
// Messages and tokens name rows by the latter, which a type with its own text form may not
// read.
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

// Convert converts a Go value to the column's Kind and to the spelling used in rows. The
// errors are those of [value.Convert].
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

// Schema describes the table that a [Loader] reads: its name, columns and key. Nobody
// modifies its slices after it was returned.
type Schema struct {
	Table   Table
	Columns []Column
	// Key names the key columns, in key order, at least one. Only tables that bindings
	// merely depend on have no columns and no key when shown to sources, which report them
	// as a whole.
	Key []string
	// Depends are the tables that the rows come from, where these differ from Table: those
	// that a query joins or a view reads. Sources watch them instead of Table; when one
	// changes, the engine reads all rows again. The loader must return the same ones each
	// time. See also core.DependsOn.
	Depends []Table
	// Shown says that other rows, of this or another table, show rows of the table, so that
	// a commit of a single row changes several at once. Sources that announce commits must
	// then announce single-row ones too. Only [Sink.Tables] sets it.
	Shown bool
}

// Column returns the position of the named column, or -1.
func (s Schema) Column(name string) int {
	return slices.IndexFunc(s.Columns, func(c Column) bool { return c.Name == name })
}

// MakeKey builds the key of a row from the values of its key columns, in key order. It
// converts values to the columns' kinds and to the spelling used in rows, so that an int32,
// an int64 and "7" from a log all give the same key. The error names the column whose value
// does not fit.
func (s Schema) MakeKey(values ...any) (Key, error) {
	if len(values) != len(s.Key) {
		return "", fmt.Errorf("driver: table %q has a key of %d columns (%s), got %d values",
			s.Table, len(s.Key), strings.Join(s.Key, ", "), len(values))
	}
	enc := make([]byte, 0, 16*len(values))
	for i, v := range values {
		val, err := s.convertPart(i, v)
		if err != nil {
			return "", fmt.Errorf("driver: key column %q of table %q: %w", s.Key[i], s.Table, err)
		}
		enc = val.AppendOrdered(enc)
	}
	return Key(enc), nil
}

// ParseKey builds a key from the texts of its parts, as [Key.Parts] returns them; see
// [value.Parse]. The error names the column.
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

// parsePart reads the i-th part of a key. Start refuses a schema without the column.
func (s Schema) parsePart(i int, text string) (value.Value, error) {
	if c := s.Column(s.Key[i]); c >= 0 {
		return s.Columns[c].parse(text)
	}
	return value.Parse(value.KindNull, text)
}

// convertPart converts a Go value to the i-th part of a key. Start refuses a schema without
// the column.
func (s Schema) convertPart(i int, v any) (value.Value, error) {
	if c := s.Column(s.Key[i]); c >= 0 {
		return s.Columns[c].Convert(v)
	}
	return value.Convert(v, value.KindNull)
}

// Validate returns all problems of the schema, joined.
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

// ColumnNames returns the names of the columns, joined by commas, for messages.
func (s Schema) ColumnNames() string {
	names := make([]string, len(s.Columns))
	for i, c := range s.Columns {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}

// Sources returns the tables whose changes affect the binding: Depends, or else Table.
func (s Schema) Sources() []Table {
	if len(s.Depends) > 0 {
		return s.Depends
	}
	return []Table{s.Table}
}

// Adopt converts the key to the kinds of this schema's columns, since the reporter may know
// the table by another model. It reports false when the key does not fit the table.
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

// Spelled returns the filter with its literals in the spelling used in rows, see
// [Column.Canonical]. It leaves literals that do not convert to their columns' kinds for
// the filter's check to report.
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
