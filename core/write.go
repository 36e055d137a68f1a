package core

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
)

// WriteOp is what a [Write] does.
type WriteOp uint8

// The kinds of writes.
const (
	// Insert makes a new row. The body names every column that has neither a
	// default nor may be NULL.
	Insert WriteOp = iota
	// Replace writes a whole row: columns that the body does not name become
	// NULL, or their default.
	Replace
	// Merge writes the columns that the body names (RFC 7396).
	Merge
	// Delete deletes the row.
	Delete
)

// Write is one write by a client.
type Write struct {
	Op WriteOp
	// Key is the row's; it is not used by Insert.
	Key driver.Key
	// Body is a JSON object of the row's fields, as the model's own JSON names
	// them, also where [Serialize] shows rows otherwise. Columns that [Columns]
	// leaves out are no fields. It is not used by Delete.
	Body []byte
	// Match, when set, must hold for the row as the database has it.
	Match func(Row) bool
	// Validate, when set, is given a pointer to the row as it would be
	// written, a *T. An *InvalidError, or any other error, refuses the write.
	Validate func(row any) error
}

// WriteRules says what a binding's declaration lets clients write.
type WriteRules struct {
	// Writable: anything at all; RowsMayLeave: also so that a row is no longer
	// part of the binding; RequireMatch: updates and deletes only with a
	// precondition.
	Writable, RowsMayLeave, RequireMatch bool
}

// WriteRules returns what clients may write.
func (v *publisher) WriteRules() WriteRules {
	return WriteRules{Writable: v.spec.writable, RowsMayLeave: v.spec.mayLeave, RequireMatch: v.spec.matchNeeded}
}

// Write carries out a client's write, in one transaction: the row must be part
// of the binding, meet the precondition, and, unless rows may leave, be part of
// the binding afterwards; otherwise nothing is written. It returns, after the
// binding shows it (unless that is declared to lag, see [MinInterval]), the row
// as the database has it; the zero Row after Delete.
//
// The errors that a client should be told are [ErrNotWritable], [ErrNoRow],
// [ErrPrecondition], [*driver.InvalidError] and [*MalformedError]; every other one is
// the database's or the context's. A context that ends after the commit is no
// error.
func (v *publisher) Write(ctx context.Context, w Write) (Row, error) {
	return v.write(ctx, w, within{})
}

func (v *publisher) write(ctx context.Context, w Write, bounds within) (Row, error) {
	if !v.spec.writable {
		return Row{}, fmt.Errorf("core: binding %q: %w", v.name, ErrNotWritable)
	}
	f := v.feed.Load()
	if f == nil || v.current.Load() == nil {
		return Row{}, fmt.Errorf("core: binding %q: %w", v.name, ErrNotLoaded)
	}
	op := &writing{v: v, sh: v.shape.Load(), w: w, bounds: bounds, db: v.read.writer()}
	if err := op.parse(); err != nil {
		return Row{}, err
	}
	if err := op.db.transact(ctx, op.run); err != nil {
		return Row{}, err
	}
	f.written(ctx, op.key)
	return op.result, nil
}

// written waits until the row that was written shows. The commit is reported by
// whatever source watches the table; it is reported once more here, so that
// the answer does not depend on one. Whatever ends the wait, the write has been
// made.
func (f *feed) written(ctx context.Context, key driver.Key) {
	keys := []driver.Key{key}
	derived, lagging := f.pace.mode()
	if derived {
		keys = nil // see route
	}
	m := f.report(keys, nil)
	if !lagging {
		_ = receipt{m}.Wait(ctx)
	}
}

// writing is a write under way.
type writing struct {
	v  *publisher
	sh *shape
	w  Write
	db writer

	bounds within

	fields map[string]json.RawMessage // by column
	key    driver.Key
	result Row
}

// parse reads the body as far as that is possible without the row.
func (o *writing) parse() error {
	o.key = o.w.Key
	if o.w.Op == Delete {
		return nil
	}
	raw, err := parseObject(o.w.Body)
	if err != nil {
		return err
	}
	byJSON := make(map[string]*driver.Column)
	for i := range o.sh.schema.Columns {
		if c := &o.sh.schema.Columns[i]; c.JSON != "" {
			byJSON[c.JSON] = c
		}
	}
	o.fields = make(map[string]json.RawMessage, len(raw))
	var problems []driver.FieldError
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		c := byJSON[name]
		switch {
		case c == nil:
			problems = append(problems, driver.FieldError{Field: name, Detail: "is no field of this binding"})
		case o.w.Op == Insert && (c.Generated || c.Default && slices.Contains(o.sh.schema.Key, c.Name)):
			problems = append(problems, driver.FieldError{Field: name, Detail: "is made by the database and cannot be given"})
		case isNull(raw[name]) && !c.Nullable:
			problems = append(problems, driver.FieldError{Field: name, Detail: "must not be null"})
		default:
			o.fields[c.Name] = raw[name]
		}
	}
	if o.w.Op != Merge {
		for _, c := range o.sh.schema.Columns {
			_, named := raw[c.JSON]
			isKey := slices.Contains(o.sh.schema.Key, c.Name)
			if named || c.JSON == "" || c.Nullable || c.Default || c.Generated || isKey && o.w.Op == Replace {
				continue
			}
			problems = append(problems, driver.FieldError{Field: c.JSON, Detail: "is missing"})
		}
	}
	// The values are tried on a row of no consequence, so that all that is
	// wrong is told at once, and before there is a transaction. What is merged
	// into a value is complete only with that.
	patches := func(raw json.RawMessage) bool { return o.w.Op == Merge && isObject(raw) }
	for _, c := range o.sh.schema.Columns {
		if raw, ok := o.fields[c.Name]; ok && !isNull(raw) && !patches(raw) {
			if err := setField(o.db.newRow(), c.JSON, raw); err != nil {
				problems = append(problems, driver.FieldError{Field: c.JSON, Detail: decodeProblem(err)})
			}
		}
	}
	if len(problems) > 0 {
		slices.SortStableFunc(problems, func(a, b driver.FieldError) int { return strings.Compare(a.Field, b.Field) })
		return &driver.InvalidError{Fields: problems}
	}
	return nil
}

// parseObject splits a JSON object into its members. Of a name given twice the
// last counts, as in encoding/json.
func parseObject(body []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	var raw map[string]json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		var typeErr *json.UnmarshalTypeError
		if errors.As(err, &typeErr) {
			return nil, &MalformedError{"want a JSON object, got " + typeErr.Value}
		}
		if errors.Is(err, io.EOF) {
			return nil, &MalformedError{"it is empty"}
		}
		return nil, &MalformedError{err.Error()}
	}
	if raw == nil {
		return nil, &MalformedError{"want a JSON object, got null"}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &MalformedError{"there is something after the JSON object"}
	}
	return raw, nil
}

func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }

// run is the transaction. It may be run more than once.
func (o *writing) run(ctx context.Context) error {
	o.result = Row{}
	if o.w.Op == Insert {
		return o.insert(ctx)
	}
	if err := o.db.lock(ctx, o.key); err != nil {
		return err
	}
	before, member, err := o.find(ctx)
	if err != nil {
		return err
	}
	if !member {
		return ErrNoRow
	}
	if err := o.checkBounds(ctx); err != nil {
		return err
	}
	if o.w.Match != nil && !o.w.Match(Row{before}) {
		return ErrPrecondition
	}
	if o.w.Op == Delete {
		return o.db.delete(ctx, o.key)
	}
	row := o.db.cloneRow(before.row)
	columns, err := o.decode(row)
	if err != nil {
		return err
	}
	if columns, err = o.checkKey(row, columns); err != nil {
		return err
	}
	var defaults []string
	if o.w.Op == Replace {
		columns, defaults = o.complete(row, columns)
	}
	if err := o.validate(row); err != nil {
		return err
	}
	if len(columns)+len(defaults) > 0 {
		if err := o.db.update(ctx, o.key, row, columns, defaults); err != nil {
			return o.discreet(err)
		}
	}
	return o.after(ctx)
}

func (o *writing) insert(ctx context.Context) error {
	row := o.db.newRow()
	columns, err := o.decode(row)
	if err != nil {
		return err
	}
	if err := o.validate(row); err != nil {
		return err
	}
	if o.key, err = o.db.insert(ctx, row, columns); err != nil {
		return o.discreet(err)
	}
	return o.after(ctx)
}

// discreet takes the names of fields that the binding does not show out of what
// the database objects to.
func (o *writing) discreet(err error) error {
	var invalid *driver.InvalidError
	if len(o.sh.hidden) == 0 || !errors.As(err, &invalid) {
		return err
	}
	fields := slices.Clone(invalid.Fields)
	for i, f := range fields {
		if slices.ContainsFunc(o.sh.hidden, func(c driver.Column) bool { return c.JSON == f.Field }) {
			fields[i] = driver.FieldError{Field: "", Detail: "a column that is not shown here " + f.Detail}
		}
	}
	return &driver.InvalidError{Fields: fields}
}

// after reads the row as the database has it and makes sure of where it is.
func (o *writing) after(ctx context.Context) error {
	e, member, err := o.find(ctx)
	switch {
	case err != nil:
		return err
	case !member && !o.v.spec.mayLeave:
		return o.wouldLeave()
	case !member:
		// It may leave the binding, and yet not what its writer may see.
		if in, err := o.meets(ctx, o.v.scope); err != nil {
			return err
		} else if !in {
			return o.wouldLeave()
		}
	}
	if err := o.checkBounds(ctx); err != nil {
		return err
	}
	if e != nil {
		o.result = Row{e}
	}
	return nil
}

func (o *writing) wouldLeave() error {
	return driver.Invalid("", fmt.Sprintf("the row would not be part of %q", o.v.name))
}

// checkBounds makes sure that the row is one that may be written.
func (o *writing) checkBounds(ctx context.Context) error {
	in, err := o.meets(ctx, o.bounds.scope)
	if err == nil && !in {
		err = o.bounds.denied
	}
	return err
}

// meets reports whether the row, as the transaction sees it, meets the filter.
func (o *writing) meets(ctx context.Context, e filter.Expr) (bool, error) {
	if e == nil {
		return true, nil
	}
	if err := filter.Check(e, o.sh.kindOf); err != nil {
		return false, o.sh.filterError(err)
	}
	if o.sh.exact(e) || !o.v.read.canQuery() {
		c, err := o.pick(o.v.read.load(ctx, []driver.Key{o.key}))
		if c == nil || err != nil {
			return false, err
		}
		one := shape{layout: o.sh.layout}
		if err := one.setFilter(e); err != nil {
			return false, err
		}
		return one.holds(o.v.read, c.row), nil
	}
	c, err := o.pick(o.v.read.query(ctx, driver.Query{Keys: []driver.Key{o.key}, Filter: e}))
	return c != nil, err
}

// find reads the row as the transaction sees it, nil when there is none, and
// whether the binding holds it.
func (o *writing) find(ctx context.Context) (e *entry, member bool, err error) {
	r := o.v.read
	c, err := o.pick(r.load(ctx, []driver.Key{o.key}))
	if c == nil || err != nil {
		return nil, false, err
	}
	if o.sh.inMemory {
		member = o.sh.holds(r, c.row)
	} else {
		in, err := o.pick(r.query(ctx, driver.Query{Keys: []driver.Key{o.key}, Filter: o.v.filter, Where: o.v.spec.where}))
		if err != nil {
			return nil, false, err
		}
		member = in != nil
	}
	js, err := c.encoded(r, o.sh.enc)
	if err != nil {
		return nil, false, fmt.Errorf("core: binding %q: %w", o.v.name, err)
	}
	e = &entry{key: c.key, order: o.sh.orderOf(r, c.row, c.key), json: js, row: c.row, stamp: newStamp(o.v.feed.Load().now(), nil)}
	e.sum, _ = o.sh.sumOf(e, nil)
	return e, member, nil
}

// pick returns the row with the write's key among those read.
func (o *writing) pick(rows []any, err error) (*candidate, error) {
	if err != nil {
		return nil, err
	}
	found, nameless := o.sh.candidates(o.v.read, rows)
	if len(nameless) > 0 {
		return nil, nameless[0].err
	}
	for i := range found {
		if found[i].key == o.key {
			return &found[i], nil
		}
	}
	return nil, nil
}

// decode sets the fields that the body names, one by one, so that every one
// that is wrong can be named. It returns their columns. A merge goes into the
// objects that the row has.
func (o *writing) decode(row any) (columns []string, err error) {
	var problems []driver.FieldError
	var before map[string]json.RawMessage // the row as JSON, once it is needed
	for _, c := range o.sh.schema.Columns {
		raw, ok := o.fields[c.Name]
		if !ok {
			continue
		}
		if isNull(raw) {
			setNull(row, c.JSON)
			columns = append(columns, c.Name)
			continue
		}
		if o.w.Op == Merge && isObject(raw) {
			if before == nil {
				if before, err = membersOf(row); err != nil {
					return nil, fmt.Errorf("core: binding %q: %w", o.v.name, err)
				}
			}
			if raw, err = mergePatch(before[c.JSON], raw); err != nil {
				return nil, fmt.Errorf("core: binding %q: merging field %q: %w", o.v.name, c.JSON, err)
			}
		}
		if err := setField(row, c.JSON, raw); err != nil {
			problems = append(problems, driver.FieldError{Field: c.JSON, Detail: decodeProblem(err)})
			continue
		}
		columns = append(columns, c.Name)
	}
	if len(problems) > 0 {
		return nil, &driver.InvalidError{Fields: problems}
	}
	return columns, nil
}

// membersOf returns the row's fields as JSON shows them.
func membersOf(row any) (map[string]json.RawMessage, error) {
	whole, err := json.Marshal(row)
	if err != nil {
		return nil, fmt.Errorf("encoding a row: %w", err)
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(whole, &members); err != nil {
		return nil, fmt.Errorf("taking a row apart: %w", err)
	}
	return members, nil
}

// setField makes the field of that name in JSON what the value says, and
// nothing of what it was: encoding/json would set what is named in a struct or
// a map that is there, and leave the rest.
func setField(row any, name string, value json.RawMessage) error {
	setNull(row, name)
	label, _ := json.Marshal(name)
	return json.Unmarshal(slices.Concat([]byte{'{'}, label, []byte{':'}, value, []byte{'}'}), row)
}

// setNull makes the field of that name in JSON what a NULL is read as: its zero
// value. encoding/json would leave a field that is no pointer as it was.
func setNull(row any, name string) {
	v := reflect.ValueOf(row).Elem()
	if v.Kind() != reflect.Struct {
		return
	}
	for _, f := range reflect.VisibleFields(v.Type()) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || tag != name && (tag != "" || f.Name != name) {
			continue
		}
		if field, err := v.FieldByIndexErr(f.Index); err == nil {
			field.SetZero()
		}
		return
	}
}

// decodeProblem says what is wrong with a value without the words of Go.
func decodeProblem(err error) string {
	var typeErr *json.UnmarshalTypeError
	if !errors.As(err, &typeErr) {
		var timeErr *time.ParseError
		if errors.As(err, &timeErr) {
			return "is no time as RFC 3339 writes it"
		}
		return "cannot be read as a value of this column"
	}
	if number, ok := strings.CutPrefix(typeErr.Value, "number "); ok {
		return "number " + number + " is out of range, or not of the column's type"
	}
	return "must not be a JSON " + typeErr.Value
}

// checkKey demands that key columns in the body are those of the path, and
// takes them out of what is written.
func (o *writing) checkKey(row any, columns []string) ([]string, error) {
	key, err := o.sh.keyOf(o.v.read, row)
	if err != nil || key != o.key {
		var problems []driver.FieldError
		for _, k := range o.sh.schema.Key {
			if c := o.sh.schema.Columns[o.sh.schema.Column(k)]; slices.Contains(columns, k) {
				problems = append(problems, driver.FieldError{Field: c.JSON, Detail: "must equal the key in the path"})
			}
		}
		return nil, &driver.InvalidError{Fields: problems}
	}
	return slices.DeleteFunc(columns, func(c string) bool { return slices.Contains(o.sh.schema.Key, c) }), nil
}

// complete adds the columns that a replacement resets though it does not name
// them: those that may be NULL become so, those that have a default get it.
func (o *writing) complete(row any, columns []string) (all, defaults []string) {
	for _, c := range o.sh.schema.Columns {
		switch {
		case c.JSON == "", c.Generated, slices.Contains(columns, c.Name), slices.Contains(o.sh.schema.Key, c.Name):
		case c.Default:
			defaults = append(defaults, c.Name)
		case c.Nullable:
			setNull(row, c.JSON)
			columns = append(columns, c.Name)
		}
	}
	return columns, defaults
}

// validate asks the application, and turns any error of its into one that
// refuses the write.
func (o *writing) validate(row any) error {
	if o.w.Validate == nil {
		return nil
	}
	err := o.w.Validate(row)
	var invalid *driver.InvalidError
	if err == nil || errors.As(err, &invalid) {
		return err
	}
	return driver.Invalid("", err.Error())
}
