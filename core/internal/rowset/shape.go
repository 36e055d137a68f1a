package rowset

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/value"
)

// Shape is the checked form of a binding's options and its loader's schema.
type Shape struct {
	*Layout
	program  *filter.Program // nil: no filter
	InMemory bool            // membership is decided by program alone
	print    *live.Fingerprint
}

// Layout is the part of a shape that the members of a family share.
type Layout struct {
	Schema driver.Schema
	key    []int // columns
	order  []orderColumn
	// Collated: only the database knows the order of the rows.
	Collated bool
	OrderBy  []driver.Order   // as declared, followed by the missing key columns
	Encoder  encoder          // encodes rows for clients
	Hidden   []driver.Column  // columns changed for clients, as they were before
	Params   []Parameter      // of a family, sorted by name
	related  []driver.Related // tables whose rows the rows show
}

type orderColumn struct {
	column int
	desc   bool
	last   bool // NULLs after all values
}

// validName matches names of bindings and parameters. They appear in paths, messages and
// metrics.
var validName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.~-]{0,99}$`)

// Check makes the binding's shape, or returns all errors in its declaration. With errors
// the shape may be nil, and must not be used.
func (v *Member) Check() (*Shape, []error) {
	if v.Base != nil {
		return v.checkMember()
	}
	errs := append([]error(nil), v.Spec.Problems...)
	if !validName.MatchString(v.Name()) {
		errs = append(errs, fmt.Errorf("invalid name: must begin with a letter and consist of at most 100 letters, digits and the characters _ . ~ -"))
	}
	if v.Loader == nil {
		return nil, errs
	}
	schema, err := v.Loader.Schema()
	if err != nil {
		return nil, append(errs, err)
	}
	if err := errors.Join(schema.Validate(), v.Spec.dependencies(&schema)); err != nil {
		return nil, append(errs, err)
	}
	sh := &Shape{Layout: &Layout{Schema: schema}}
	if r := v.Loader.Relations(); r != nil {
		sh.related = r.Related()
	}
	for _, k := range schema.Key {
		sh.key = append(sh.key, schema.Column(k))
	}
	if err := sh.setOrder(v.Spec.Order); err != nil {
		errs = append(errs, err...)
	}
	if v.Spec.Family {
		found := append(sh.setParameters(v.Filter), sh.setChoices(v.Spec)...)
		if len(sh.Params) == 0 && len(found) == 0 {
			found = append(found, errors.New("a family needs parameters: compare a column with filter.Param, or use Bind"))
		}
		errs = append(errs, found...)
	} else if err := sh.SetFilter(v.Filter); err != nil {
		errs = append(errs, err)
	}
	if !v.Spec.Family && (v.Spec.OrderChoice != nil || v.Spec.LimitChoice != nil) {
		errs = append(errs, errors.New("OrderParam and LimitParam are for families: use BindFamily"))
	}
	errs = append(errs, sh.setEncoder(v)...)
	if len(errs) > 0 {
		return nil, errs
	}
	if v.Spec.Where != nil && !v.Loader.CanQuery() {
		errs = append(errs, fmt.Errorf("its condition (%s) needs a loader whose database evaluates queries (driver.Querier)", v.Spec.Where))
	}
	if sh.Collated && !v.Loader.CanQuery() {
		errs = append(errs, errors.New("its order by a collation needs a loader whose database evaluates queries (driver.Querier)"))
	}
	if v.Spec.Rules.Writable && v.Loader.Writer() == nil {
		errs = append(errs, errors.New("it is declared writable, but its loader does not write (driver.Writer)"))
	}
	sh.decide(v)
	return sh, errs
}

var errUnchecked = errors.New("its family has not been checked")

// checkMember makes a member's shape from its family's.
func (v *Member) checkMember() (*Shape, []error) {
	base := v.Base.Shape.Load()
	if base == nil {
		return nil, []error{errUnchecked}
	}
	sh := &Shape{Layout: base.Layout}
	if v.Spec.ownOrder {
		own := *base.Layout
		own.order, own.OrderBy, own.Collated = nil, nil, false
		sh.Layout = &own
		if errs := sh.setOrder(v.Spec.Order); errs != nil {
			return nil, errs
		}
	}
	if err := sh.SetFilter(v.Filter); err != nil {
		return nil, []error{err}
	}
	sh.decide(v)
	return sh, nil
}

// Refine makes the shape again from the loader's current schema.
func (v *Member) Refine() error {
	sh, errs := v.Check()
	if len(errs) > 0 {
		return fmt.Errorf("%s: %w", v.Describe(), errors.Join(errs...))
	}
	v.Become(sh)
	return nil
}

// Relearn is [Member.Refine] for a member that may have loaded. anew reports that the new
// shape encodes keys or places differently, so that the rows held are useless.
func (v *Member) Relearn() (anew bool, err error) {
	before := v.Shape.Load()
	if err := v.Refine(); err != nil {
		return false, err
	}
	return before != nil && !v.Unread() && !before.encodesLike(v.Shape.Load().Layout), nil
}

// encodesLike reports whether both layouts encode keys and places alike.
func (l *Layout) encodesLike(o *Layout) bool {
	other := func(column string) bool {
		a, _ := l.KindOf(column)
		b, _ := o.KindOf(column)
		return a != b
	}
	return l.Collated == o.Collated && !slices.ContainsFunc(l.Schema.Key, other) &&
		!slices.ContainsFunc(l.OrderBy, func(by driver.Order) bool { return other(by.Column) })
}

// decide sets InMemory and the fingerprint.
func (sh *Shape) decide(v *Member) {
	sh.InMemory = v.Spec.Where == nil && (!v.Loader.CanQuery() || sh.Exact(v.Filter))
	sh.setFingerprint(v)
}

// Exact reports whether Go provably evaluates the filter as the database does.
func (sh *Shape) Exact(e filter.Expr) bool {
	return e == nil || filter.IsExact(e, func(column string) filter.Exactness {
		return sh.Schema.Columns[sh.Schema.Column(column)].Exact
	})
}

// ByRow reports whether membership is decided in memory, by the row alone. A limited binding
// also needs the row's place, see window.
func (v *Member) ByRow() bool { return v.Shape.Load().InMemory }

// SharesReads reports whether one statement can read the binding in full together with
// others.
func (v *Member) SharesReads() bool {
	sh := v.Shape.Load()
	return sh.InMemory && !sh.Collated && (v.Spec.Limit == 0 || !v.Loader.CanQuery())
}

// ColumnOf returns the position and kind of a column, ok false if there is none.
func (l *Layout) ColumnOf(name string) (position int, kind value.Kind, ok bool) {
	c := l.Schema.Column(name)
	if c < 0 {
		return 0, value.KindNull, false
	}
	return c, l.Schema.Columns[c].Kind, true
}

// KindOf returns the kind of a column, false if there is none.
func (l *Layout) KindOf(column string) (value.Kind, bool) {
	_, kind, ok := l.ColumnOf(column)
	return kind, ok
}

func (sh *Shape) setOrder(declared []driver.Order) (errs []error) {
	sh.OrderBy = append([]driver.Order(nil), declared...)
	used := map[string]bool{}
	for _, o := range declared {
		if sh.Schema.Column(o.Column) < 0 {
			errs = append(errs, fmt.Errorf("order: unknown column %q of table %q (its columns: %s)", o.Column, sh.Schema.Table, sh.Schema.ColumnNames()))
		}
		if used[o.Column] {
			errs = append(errs, fmt.Errorf("order: column %q is named twice", o.Column))
		}
		used[o.Column] = true
		if o.Collation == "" {
			continue
		}
		sh.Collated = true
		if _, kind, ok := sh.ColumnOf(o.Column); ok && kind != value.KindText {
			errs = append(errs, fmt.Errorf("order: column %q holds no text (%s), so no collation orders it", o.Column, kind))
		}
	}
	if len(errs) > 0 {
		return errs
	}
	for _, k := range sh.Schema.Key {
		if !used[k] {
			sh.OrderBy = append(sh.OrderBy, driver.Order{Column: k})
		}
	}
	// If rows are ordered by their key, ascending, a row's place is its key.
	byKey := len(sh.OrderBy) == len(sh.Schema.Key)
	for i, o := range sh.OrderBy {
		byKey = byKey && o == driver.Order{Column: sh.Schema.Key[min(i, len(sh.Schema.Key)-1)]}
	}
	if byKey {
		return nil
	}
	for _, o := range sh.OrderBy {
		sh.order = append(sh.order, orderColumn{
			column: sh.Schema.Column(o.Column),
			desc:   o.Desc,
			last:   o.Nulls == driver.NullsLast || o.Nulls == driver.NullsLowest && o.Desc,
		})
	}
	return nil
}

// SetFilter checks and compiles the filter. nil leaves the shape without one.
func (sh *Shape) SetFilter(e filter.Expr) error {
	if e == nil {
		return nil
	}
	if err := filter.Check(e, sh.KindOf); err != nil {
		return sh.FilterError(err)
	}
	p, err := sh.Compile(e)
	if err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	sh.program = p
	return nil
}

// Compile compiles the filter for evaluation, with its literals as in Spelled.
func (l *Layout) Compile(e filter.Expr) (*filter.Program, error) {
	return filter.Compile(l.Spelled(e), l.ColumnOf)
}

// Spelled returns the filter with its literals written as rows have them.
func (l *Layout) Spelled(e filter.Expr) filter.Expr { return l.Schema.Spelled(e) }

// FilterError adds the table and its columns to an error in a filter.
func (sh *Shape) FilterError(err error) error {
	return fmt.Errorf("filter on table %q (its columns: %s): %w", sh.Schema.Table, sh.Schema.ColumnNames(), err)
}

// setParameters sets Params from a family's filter.
func (sh *Shape) setParameters(e filter.Expr) (errs []error) {
	if err := filter.CheckParameterized(e, sh.KindOf); err != nil {
		return []error{sh.FilterError(err)}
	}
	for _, use := range filter.Parameters(e) {
		kind, _ := sh.KindOf(use.Column)
		i, found := sh.findParameter(use.Name)
		err := parameterName(use.Name)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("parameter %q: %w", use.Name, err))
		case kind == value.KindOpaque:
			errs = append(errs, fmt.Errorf("parameter %q: column %q cannot be compared", use.Name, use.Column))
		case !found:
			sh.Params = slices.Insert(sh.Params, i, Parameter{Name: use.Name, Kind: kind, Optional: use.Optional, Repeated: use.Repeated})
			fallthrough
		case sh.Params[i].Kind == kind && sh.Params[i].Optional == use.Optional && sh.Params[i].Repeated == use.Repeated:
			if !use.Searched { // a searched substring need not be a value of the column
				sh.Params[i].Columns = append(sh.Params[i].Columns, sh.Schema.Columns[sh.Schema.Column(use.Column)])
			}
		case sh.Params[i].Kind != kind:
			errs = append(errs, fmt.Errorf("parameter %q is compared with columns of different kinds (%s and %s)", use.Name, sh.Params[i].Kind, kind))
		default:
			errs = append(errs, fmt.Errorf("parameter %q is optional, or repeated, in one place and not in another", use.Name))
		}
	}
	return errs
}

// findParameter returns the parameter's position in Params, or where to insert it.
func (l *Layout) findParameter(name string) (at int, found bool) {
	return slices.BinarySearchFunc(l.Params, name, func(p Parameter, name string) int { return strings.Compare(p.Name, name) })
}

// parameterName returns why a parameter cannot have the name, nil if it can.
func parameterName(name string) error {
	switch {
	case !validName.MatchString(name):
		return errors.New("invalid name: must begin with a letter and consist of at most 100 letters, digits and the characters _ . ~ -")
	case slices.Contains(reservedParameters, name):
		return fmt.Errorf("the name has another meaning in requests (as have %s)", strings.Join(reservedParameters, ", "))
	}
	return nil
}

// reservedParameters are the names that transports use for their own parameters.
var reservedParameters = []string{"after", "event", "limit", "mark", "offset", "page", "replica", "since", "version", "wait"}

// codecVersion must change when this code encodes, hashes or orders the same rows
// differently. Then older tokens are not taken for current.
const codecVersion = "1"

// setFingerprint computes the digest of everything, apart from the rows, that determines
// what clients see.
func (sh *Shape) setFingerprint(v *Member) {
	parts := []string{
		codecVersion, v.Name(), sh.Schema.Table.Schema, sh.Schema.Table.Name, v.Loader.TypeName(),
		v.Spec.WhereText(), strconv.Itoa(v.Spec.Limit),
	}
	if v.Filter != nil {
		parts = append(parts, v.Filter.String())
	}
	if sh.Encoder.names != "" {
		parts = append(parts, "columns:"+sh.Encoder.names)
	}
	for _, r := range sh.related {
		parts = append(parts, "related:"+r.Schema.Table.Schema, r.Schema.Table.Name)
	}
	for _, o := range sh.OrderBy {
		part := o.String() + "/" + strconv.Itoa(int(o.Nulls))
		if o.Collation != "" {
			part += "/" + o.Collation
		}
		parts = append(parts, part)
	}
	sh.print = live.NewFingerprint(parts...)
}

// OrderOf returns the row's place in the order, as a string that compares by bytes. It is
// the key if rows are ordered by their key.
func (sh *Shape) OrderOf(r untyped.Loader, row any, key driver.Key) string {
	if sh.order == nil {
		return string(key)
	}
	var enc []byte
	for _, o := range sh.order {
		val := r.Value(row, o.column)
		// The first byte places NULL, whether the column is ascending or descending.
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

// KeyOf returns the row's key; the error names a key column that is NULL.
func (sh *Shape) KeyOf(r untyped.Loader, row any) (driver.Key, error) {
	var buf [64]byte
	enc := buf[:0]
	for _, c := range sh.key {
		val := r.Value(row, c)
		if val.IsNull() {
			return "", fmt.Errorf("a row of table %q has NULL in key column %q", sh.Schema.Table, sh.Schema.Columns[c].Name)
		}
		enc = val.AppendOrdered(enc)
	}
	return driver.Key(enc), nil
}
