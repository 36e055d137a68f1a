package core

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/value"
)

// shape is what the checks make of a binding's options and its loader's
// schema.
type shape struct {
	*layout
	program  *filter.Program // nil: no filter
	inMemory bool            // membership is decided by program alone
	print    *live.Fingerprint
}

// layout is the part of a shape that the members of a family share.
type layout struct {
	schema driver.Schema
	key    []int // columns
	order  []orderColumn
	// collated: only the database knows how rows are ordered.
	collated bool
	orderBy  []driver.Order   // as declared, ended by the key columns that were missing
	enc      encoder          // what clients see of a row
	hidden   []driver.Column  // that Columns leaves out, as they were before; in schema their JSON is ""
	params   []parameter      // of a family, in order of name
	related  []driver.Related // whose rows the rows show
}

type orderColumn struct {
	column int
	desc   bool
	last   bool // NULLs after all values
}

// validName is what names of bindings look like: they appear in paths, in
// messages and in metrics.
var validName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.~-]{0,99}$`)

// check makes the binding's shape, or returns everything that is wrong with
// it.
func (v *publisher) check() (*shape, []error) {
	if v.family.proto != v {
		return v.checkMember()
	}
	errs := append([]error(nil), v.spec.problems...)
	if !validName.MatchString(v.Name()) {
		errs = append(errs, fmt.Errorf("invalid name: must begin with a letter and consist of at most 100 letters, digits and the characters _ . ~ -"))
	}
	if v.read == nil {
		return nil, errs
	}
	schema, err := v.read.schema()
	if err != nil {
		return nil, append(errs, err)
	}
	if err := errors.Join(schema.Validate(), v.spec.dependencies(&schema)); err != nil {
		return nil, append(errs, err)
	}
	sh := &shape{layout: &layout{schema: schema}}
	if r := v.read.relating(); r != nil {
		sh.related = r.related()
	}
	for _, k := range schema.Key {
		sh.key = append(sh.key, schema.Column(k))
	}
	if err := sh.setOrder(v.spec.order); err != nil {
		errs = append(errs, err...)
	}
	if v.spec.family {
		errs = append(errs, sh.setParameters(v.filter)...)
	} else if err := sh.setFilter(v.filter); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, sh.setEncoder(v)...)
	if len(errs) > 0 {
		return nil, errs
	}
	if v.spec.where != nil && !v.read.canQuery() {
		errs = append(errs, fmt.Errorf("its condition (%s) needs a loader whose database evaluates queries (driver.Querier)", v.spec.where))
	}
	if sh.collated && !v.read.canQuery() {
		errs = append(errs, errors.New("its order by a collation needs a loader whose database evaluates queries (driver.Querier)"))
	}
	errs = append(errs, v.spec.tuning.problems(v.spec.limit)...)
	if v.spec.rules.Writable && v.read.writer() == nil {
		errs = append(errs, errors.New("it is declared writable, but its loader does not write (driver.Writer)"))
	}
	sh.decide(v)
	return sh, errs
}

// checkMember makes the shape of a family's member from that of the family.
func (v *publisher) checkMember() (*shape, []error) {
	base := v.family.proto.shape.Load()
	if base == nil {
		return nil, []error{ErrNotStarted}
	}
	sh := &shape{layout: base.layout}
	if err := sh.setFilter(v.filter); err != nil {
		return nil, []error{err}
	}
	sh.decide(v)
	return sh, nil
}

// refine makes the shape again, from what the loader knows by now.
func (v *publisher) refine() error {
	sh, errs := v.check()
	if len(errs) > 0 {
		return fmt.Errorf("%s: %w", v.describe(), errors.Join(errs...))
	}
	v.become(sh)
	return nil
}

// decide settles how membership is decided, and the fingerprint.
func (sh *shape) decide(v *publisher) {
	sh.inMemory = v.spec.where == nil && (!v.read.canQuery() || sh.exact(v.filter))
	sh.setFingerprint(v)
}

// exact reports whether Go's evaluation of the filter is the database's.
func (sh *shape) exact(e filter.Expr) bool {
	return e == nil || filter.IsExact(e, func(column string) filter.Exactness {
		return sh.schema.Columns[sh.schema.Column(column)].Exact
	})
}

// byRow reports whether membership is decided in memory, for each row by
// itself; of a limited binding by where the row stands as well, see window.
func (v *publisher) byRow() bool { return v.shape.Load().inMemory }

// sharesReads reports whether the binding can be read in full together with
// others.
func (v *publisher) sharesReads() bool {
	sh := v.shape.Load()
	return sh.inMemory && !sh.collated && (v.spec.limit == 0 || !v.read.canQuery())
}

// columnOf finds a column.
func (l *layout) columnOf(name string) (position int, kind value.Kind, ok bool) {
	c := l.schema.Column(name)
	if c < 0 {
		return 0, value.KindNull, false
	}
	return c, l.schema.Columns[c].Kind, true
}

func (l *layout) kindOf(column string) (value.Kind, bool) {
	_, kind, ok := l.columnOf(column)
	return kind, ok
}

func (sh *shape) setOrder(declared []driver.Order) (errs []error) {
	sh.orderBy = append([]driver.Order(nil), declared...)
	used := map[string]bool{}
	for _, o := range declared {
		if sh.schema.Column(o.Column) < 0 {
			errs = append(errs, fmt.Errorf("order: unknown column %q of table %q (its columns: %s)", o.Column, sh.schema.Table, sh.schema.ColumnNames()))
		}
		if used[o.Column] {
			errs = append(errs, fmt.Errorf("order: column %q is named twice", o.Column))
		}
		used[o.Column] = true
		if o.Collation == "" {
			continue
		}
		sh.collated = true
		if _, kind, ok := sh.columnOf(o.Column); ok && kind != value.KindText {
			errs = append(errs, fmt.Errorf("order: column %q holds no text (%s), so no collation orders it", o.Column, kind))
		}
	}
	if len(errs) > 0 {
		return errs
	}
	for _, k := range sh.schema.Key {
		if !used[k] {
			sh.orderBy = append(sh.orderBy, driver.Order{Column: k})
		}
	}
	// Ordered by its key, ascending, a row's place is its key.
	byKey := len(sh.orderBy) == len(sh.schema.Key)
	for i, o := range sh.orderBy {
		byKey = byKey && o == driver.Order{Column: sh.schema.Key[min(i, len(sh.schema.Key)-1)]}
	}
	if byKey {
		return nil
	}
	for _, o := range sh.orderBy {
		sh.order = append(sh.order, orderColumn{
			column: sh.schema.Column(o.Column),
			desc:   o.Desc,
			last:   o.Nulls == driver.NullsLast || o.Nulls == driver.NullsLowest && o.Desc,
		})
	}
	return nil
}

func (sh *shape) setFilter(e filter.Expr) error {
	if e == nil {
		return nil
	}
	if err := filter.Check(e, sh.kindOf); err != nil {
		return sh.filterError(err)
	}
	p, err := filter.Compile(e, sh.columnOf)
	if err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	sh.program = p
	return nil
}

func (sh *shape) filterError(err error) error {
	return fmt.Errorf("filter on table %q (its columns: %s): %w", sh.schema.Table, sh.schema.ColumnNames(), err)
}

// setParameters finds out what a family's filter leaves open.
func (sh *shape) setParameters(e filter.Expr) (errs []error) {
	if err := filter.CheckParameterized(e, sh.kindOf); err != nil {
		return []error{sh.filterError(err)}
	}
	for _, use := range filter.Parameters(e) {
		kind, _ := sh.kindOf(use.Column)
		i, found := slices.BinarySearchFunc(sh.params, use.Name, func(p parameter, name string) int { return strings.Compare(p.name, name) })
		switch {
		case !validName.MatchString(use.Name):
			errs = append(errs, fmt.Errorf("parameter %q: invalid name: must begin with a letter and consist of at most 100 letters, digits and the characters _ . ~ -", use.Name))
		case slices.Contains(reservedParameters, use.Name):
			errs = append(errs, fmt.Errorf("parameter %q: the name has another meaning in requests (as have %s)", use.Name, strings.Join(reservedParameters, ", ")))
		case kind == value.KindOpaque:
			errs = append(errs, fmt.Errorf("parameter %q: column %q cannot be compared", use.Name, use.Column))
		case !found:
			sh.params = slices.Insert(sh.params, i, parameter{use.Name, kind, nil})
			fallthrough
		case sh.params[i].kind == kind:
			sh.params[i].columns = append(sh.params[i].columns, sh.schema.Columns[sh.schema.Column(use.Column)])
		default:
			errs = append(errs, fmt.Errorf("parameter %q is compared with columns of different kinds (%s and %s)", use.Name, sh.params[i].kind, kind))
		}
	}
	if len(sh.params) == 0 && len(errs) == 0 {
		errs = append(errs, errors.New("a family needs parameters: compare a column with filter.Param, or use Bind"))
	}
	return errs
}

// reservedParameters are what transports call their own parameters.
var reservedParameters = []string{"after", "event", "limit", "mark", "offset", "page", "since", "version", "wait"}

// codecVersion changes when the same rows come to be encoded, hashed or ordered
// differently, so that tokens from before are not taken for current.
const codecVersion = "1"

// setFingerprint computes the digest of everything that decides what clients
// see beside the rows.
func (sh *shape) setFingerprint(v *publisher) {
	parts := []string{
		codecVersion, v.Name(), sh.schema.Table.Schema, sh.schema.Table.Name, v.read.typeName(),
		v.spec.whereText(), strconv.Itoa(v.spec.limit),
	}
	if v.filter != nil {
		parts = append(parts, v.filter.String())
	}
	if sh.enc.names != "" {
		parts = append(parts, "columns:"+sh.enc.names)
	}
	for _, r := range sh.related {
		parts = append(parts, "related:"+r.Schema.Table.Schema, r.Schema.Table.Name)
	}
	for _, o := range sh.orderBy {
		part := o.String() + "/" + strconv.Itoa(int(o.Nulls))
		if o.Collation != "" {
			part += "/" + o.Collation
		}
		parts = append(parts, part)
	}
	sh.print = live.NewFingerprint(parts...)
}

// orderOf returns where the row stands; the key when rows are ordered by it.
func (sh *shape) orderOf(r reader, row any, key driver.Key) string {
	if sh.order == nil {
		return string(key)
	}
	var enc []byte
	for _, o := range sh.order {
		val := r.value(row, o.column)
		// A byte in front places NULL, whichever way the column runs.
		switch {
		case !val.IsNull():
			enc = append(enc, 1)
		case o.last:
			enc = append(enc, 2)
			continue
		default:
			enc = append(enc, 0)
			continue
		}
		at := len(enc)
		enc = val.AppendOrdered(enc)
		if o.desc {
			for i := at; i < len(enc); i++ {
				enc[i] = ^enc[i]
			}
		}
	}
	return string(append(enc, key...))
}

// keyOf returns the row's key; the error names a key column that is NULL.
func (sh *shape) keyOf(r reader, row any) (driver.Key, error) {
	var buf [64]byte
	enc := buf[:0]
	for _, c := range sh.key {
		val := r.value(row, c)
		if val.IsNull() {
			return "", fmt.Errorf("a row of table %q has NULL in key column %q", sh.schema.Table, sh.schema.Columns[c].Name)
		}
		enc = val.AppendOrdered(enc)
	}
	return driver.Key(enc), nil
}
