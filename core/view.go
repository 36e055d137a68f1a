package core

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// View is a binding without its type, as transports and plugins see it: it
// speaks in encoded rows. All methods may be called from any goroutine.
type View struct {
	name   string
	spec   *spec // shared by the members of a family
	read   reader
	family *family     // what it was made from
	filter filter.Expr // of the spec, with the parameters' values and the scope
	params Params
	scope  filter.Expr // what an authorizer confines it to; part of filter
	seq    uint64      // views are numbered as they come

	// Set when the binding is checked, before it is published to anybody;
	// shape again after the loader's Prepare.
	shape atomic.Pointer[shape]
	feed  atomic.Pointer[feed]

	current  atomic.Pointer[Snapshot]
	loaded   chan struct{} // closed at the first load
	done     chan struct{} // closed at the end
	counters viewCounters

	// mu guards what follows and, together with the feed being the only
	// writer, the order in which current and log move.
	mu          sync.Mutex
	log         eventLog
	armed       []*Subscription
	spare       []*Subscription
	mergedFor   *Event
	merged      map[int]*Event
	subscribers int
	ended       error // ErrRemoved or ErrClosed once done is closed
	registered  bool
}

// shape is what the checks make of a binding's options and its loader's
// schema.
type shape struct {
	*layout
	program  *filter.Program // nil: no filter
	inMemory bool            // membership is decided by program alone
	base     digest          // of the fingerprint
	print    []byte          // the fingerprint's digest, in the digest of each row
}

// layout is the part of a shape that the members of a family share.
type layout struct {
	schema Schema
	key    []int // columns
	order  []orderColumn
	// collated: only the database knows how rows are ordered.
	collated bool
	orderBy  []Order     // as declared, ended by the key columns that were missing
	enc      encoder     // what clients see of a row
	hidden   []Column    // that Columns leaves out, as they were before; in schema their JSON is ""
	params   []parameter // of a family, in order of name
	related  []Related   // whose rows the rows show
}

type orderColumn struct {
	column int
	desc   bool
	last   bool // NULLs after all values
}

// viewCount numbers views.
var viewCount atomic.Uint64

func newView(name string, r reader, s *spec) *View {
	v := &View{
		name: name, spec: s, read: r, filter: s.filter, seq: viewCount.Add(1),
		loaded: make(chan struct{}), done: make(chan struct{}),
	}
	v.log.maxEvents = bound(s.logEvents, DefaultLogEvents)
	v.log.maxBytes = bound(s.logBytes, DefaultLogBytes)
	return v
}

// Name returns the binding's name, which the members of a family share.
func (v *View) Name() string { return v.name }

// Params returns the values of the parameters of a family's member; nil for
// other bindings.
func (v *View) Params() Params { return v.params }

// ID names the binding among all that there are: its name, followed, for the member of a
// family, by its parameters as the query of a URL.
func (v *View) ID() string { return idOf(v.name, v.params) }

func idOf(name string, params Params) string {
	if len(params) == 0 {
		return name
	}
	return name + "?" + params.String()
}

// Schema describes the table that the binding reads. It is the zero value
// before the binding was registered and found sound. Columns that [Columns]
// leaves out have no JSON name in it; with [Serialize] the JSON names are the
// model's, which are those of writes.
func (v *View) Schema() Schema {
	if sh := v.shape.Load(); sh != nil {
		return sh.schema
	}
	return Schema{}
}

// Order returns the columns that order the rows, down to those of the key,
// which make the order total.
func (v *View) Order() []Order {
	if sh := v.shape.Load(); sh != nil {
		return sh.orderBy
	}
	return nil
}

// OrderFields returns the order in terms of the encoded rows: their fields, with a
// leading "-" for descending. It is nil when rows do not show all of them, when
// they are shown by [Serialize], and when text is ordered by a collation of the
// database's, which nobody else knows.
func (v *View) OrderFields() []string {
	sh := v.shape.Load()
	if sh == nil || sh.collated || sh.enc.show != nil { // a serializer's fields are its own
		return nil
	}
	fields := make([]string, len(sh.orderBy))
	for i, o := range sh.orderBy {
		o.Column = sh.schema.Columns[sh.schema.Column(o.Column)].JSON
		if o.Column == "" {
			return nil
		}
		fields[i] = o.String()
	}
	return fields
}

// Snapshot returns the current rows, or nil before the first load.
func (v *View) Snapshot() *Snapshot { return v.current.Load() }

// Version returns the current version, the zero value before the first load.
func (v *View) Version() Version {
	if s := v.current.Load(); s != nil {
		return s.version
	}
	return Version{}
}

// Len returns the number of rows.
func (v *View) Len() int {
	if s := v.current.Load(); s != nil {
		return s.Len()
	}
	return 0
}

// Loaded returns a channel that is closed when the rows have been read for the
// first time.
func (v *View) Loaded() <-chan struct{} { return v.loaded }

// Done returns a channel that is closed when the binding has ended, because it
// was removed or because the registry shut down.
func (v *View) Done() <-chan struct{} { return v.done }

// Resync reads all rows again and returns when the result shows. Subscribers
// get the events that the difference amounts to, and nothing when there is
// none. It returns the context's error when that ends first (the reading goes
// on), [ErrNotStarted], [ErrRemoved] or [ErrClosed].
func (v *View) Resync(ctx context.Context) error { return v.reload(ctx, false) }

// Clear forgets everything held (rows, encodings, log) and reads it anew. Until
// that is done readers have the old rows; then subscribers get a sync. The
// errors are those of [View.Resync].
func (v *View) Clear(ctx context.Context) error { return v.reload(ctx, true) }

func (v *View) reload(ctx context.Context, forget bool) error {
	f := v.feed.Load()
	if f == nil {
		return fmt.Errorf("core: binding %q: %w", v.name, ErrNotStarted)
	}
	if err := f.reload(v, reload{forget: forget}).Wait(ctx); err != nil {
		return fmt.Errorf("core: reading binding %q again: %w", v.name, err)
	}
	return nil
}

// Touch moves the version's time of change to now, and tells subscribers that
// what they have is current. The token stays, since the content does. It
// returns [ErrNotLoaded], [ErrRemoved] or [ErrClosed].
func (v *View) Touch() error {
	f := v.feed.Load()
	if f == nil {
		return fmt.Errorf("core: binding %q: %w", v.name, ErrNotStarted)
	}
	f.publishing.Lock()
	defer f.publishing.Unlock()
	cur := v.current.Load()
	if cur == nil {
		return fmt.Errorf("core: binding %q: %w", v.name, ErrNotLoaded)
	}
	v.mu.Lock()
	err := v.ended
	v.mu.Unlock()
	if err != nil {
		return fmt.Errorf("core: binding %q: %w", v.name, err)
	}
	next := &Snapshot{
		memo: &memo{}, sum: cur.sum, rows: cur.rows, ordered: cur.ordered, window: cur.window, bytes: cur.bytes, body: cur.body,
		stamp: newStamp(f.now(), cur.stamp),
	}
	next.version = Version{Token: cur.version.Token, Seq: cur.version.Seq + 1, Modified: next.stamp.modified}
	e := &Event{Kind: Confirmed, From: cur.version.Token, Version: next.version}
	e.measure()
	v.publish(next, e, false)
	return nil
}

// Status returns what is known about the binding.
func (v *View) Status() Status {
	st := Status{
		Events: v.counters.events.Load(),
		Syncs:  v.counters.syncs.Load(),
		Merges: v.counters.merges.Load(),
	}
	if s := v.current.Load(); s != nil {
		st.Version, st.Rows, st.Bytes = s.version, s.Len(), s.bytes
	}
	v.mu.Lock()
	st.Subscribers = v.subscribers
	ended := v.ended
	v.mu.Unlock()
	if f := v.feed.Load(); f != nil {
		st.State, st.Since, st.Err = f.stateOf(v)
	}
	if ended != nil {
		st.State, st.Err = Ended, ended
	}
	return st
}

// validName is what names of bindings look like: they appear in paths, in
// messages and in metrics.
var validName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.~-]{0,99}$`)

// check makes the binding's shape, or returns everything that is wrong with
// it.
func (v *View) check() (*shape, []error) {
	if v.family.proto != v {
		return v.checkMember()
	}
	errs := append([]error(nil), v.spec.problems...)
	if !validName.MatchString(v.name) {
		errs = append(errs, fmt.Errorf("invalid name: must begin with a letter and consist of at most 100 letters, digits and the characters _ . ~ -"))
	}
	if v.read == nil {
		return nil, errs
	}
	schema, err := v.read.schema()
	if err != nil {
		return nil, append(errs, err)
	}
	if err := errors.Join(schema.check(), v.spec.dependencies(&schema)); err != nil {
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
		errs = append(errs, fmt.Errorf("its condition (%s) needs a loader whose database evaluates queries (core.Querier)", v.spec.whereText))
	}
	if sh.collated && !v.read.canQuery() {
		errs = append(errs, errors.New("its order by a collation needs a loader whose database evaluates queries (core.Querier)"))
	}
	if v.spec.margin != nil && v.spec.limit == 0 {
		errs = append(errs, errors.New("Margin is for bindings with a Limit"))
	}
	if v.spec.writable && v.read.writer() == nil {
		errs = append(errs, errors.New("it is declared writable, but its loader does not write (core.Writer)"))
	}
	if !v.spec.writable && (v.spec.mayLeave || v.spec.matchNeeded) {
		errs = append(errs, errors.New("RowsMayLeave and RequireMatch are for writable bindings: say Writable as well"))
	}
	sh.decide(v)
	return sh, errs
}

// checkMember makes the shape of a family's member from that of the family.
func (v *View) checkMember() (*shape, []error) {
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
func (v *View) refine() error {
	sh, errs := v.check()
	if len(errs) > 0 {
		return fmt.Errorf("%s: %w", v.describe(), errors.Join(errs...))
	}
	v.shape.Store(sh)
	return nil
}

// decide settles how membership is decided, and the fingerprint.
func (sh *shape) decide(v *View) {
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
func (v *View) byRow() bool { return v.shape.Load().inMemory }

// sharesReads reports whether the binding can be read in full together with
// others.
func (v *View) sharesReads() bool {
	sh := v.shape.Load()
	return sh.inMemory && !sh.collated && (v.spec.limit == 0 || !v.read.canQuery())
}

// eachHeld calls visit for every row that the binding holds.
func (v *View) eachHeld(visit func(*entry)) {
	if s := v.current.Load(); s != nil {
		s.eachHeld(visit)
	}
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

func (sh *shape) setOrder(declared []Order) (errs []error) {
	sh.orderBy = append([]Order(nil), declared...)
	used := map[string]bool{}
	for _, o := range declared {
		if sh.schema.Column(o.Column) < 0 {
			errs = append(errs, fmt.Errorf("order: unknown column %q of table %q (its columns: %s)", o.Column, sh.schema.Table, sh.schema.columnNames()))
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
			sh.orderBy = append(sh.orderBy, Order{Column: k})
		}
	}
	// Ordered by its key, ascending, a row's place is its key.
	byKey := len(sh.orderBy) == len(sh.schema.Key)
	for i, o := range sh.orderBy {
		byKey = byKey && o == Order{Column: sh.schema.Key[min(i, len(sh.schema.Key)-1)]}
	}
	if byKey {
		return nil
	}
	for _, o := range sh.orderBy {
		sh.order = append(sh.order, orderColumn{
			column: sh.schema.Column(o.Column),
			desc:   o.Desc,
			last:   o.Nulls == NullsLast || o.Nulls == NullsLowest && o.Desc,
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
	return fmt.Errorf("filter on table %q (its columns: %s): %w", sh.schema.Table, sh.schema.columnNames(), err)
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
			sh.params = slices.Insert(sh.params, i, parameter{use.Name, kind})
		case sh.params[i].kind != kind:
			errs = append(errs, fmt.Errorf("parameter %q is compared with columns of different kinds (%s and %s)", use.Name, sh.params[i].kind, kind))
		}
	}
	if len(sh.params) == 0 && len(errs) == 0 {
		errs = append(errs, errors.New("a family needs parameters: compare a column with filter.Param, or use Bind"))
	}
	return errs
}

// reservedParameters are what transports call their own parameters.
var reservedParameters = []string{"event", "limit", "offset", "page", "since", "version"}

// codecVersion changes when the same rows come to be encoded, hashed or ordered
// differently, so that tokens from before are not taken for current.
const codecVersion = "1"

// setFingerprint computes the digest of everything that decides what clients
// see beside the rows.
func (sh *shape) setFingerprint(v *View) {
	parts := []string{
		codecVersion, v.name, sh.schema.Table.Schema, sh.schema.Table.Name, v.read.typeName(),
		v.spec.whereText, strconv.Itoa(v.spec.limit),
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
	raw := make([][]byte, len(parts))
	for i, p := range parts {
		raw[i] = []byte(p)
	}
	sh.base, _ = digestOf(nil, raw...)
	sh.print = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, sh.base.hi), sh.base.lo)
}

// orderOf returns where the row stands; the key when rows are ordered by it.
func (sh *shape) orderOf(r reader, row any, key Key) string {
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
func (sh *shape) keyOf(r reader, row any) (Key, error) {
	var buf [64]byte
	enc := buf[:0]
	for _, c := range sh.key {
		val := r.value(row, c)
		if val.IsNull() {
			return "", fmt.Errorf("a row of table %q has NULL in key column %q", sh.schema.Table, sh.schema.Columns[c].Name)
		}
		enc = val.AppendOrdered(enc)
	}
	return Key(enc), nil
}

// publish makes the snapshot current. The caller holds the feed's publishing
// lock. A nil event says that nothing changed that anybody but Go code can see;
// with sync set the log is forgotten and every subscriber gets a sync.
//
// It reports whether that was so: a binding that has ended stays as it is.
func (v *View) publish(next *Snapshot, e *Event, sync bool) bool {
	v.mu.Lock()
	if v.ended != nil {
		v.mu.Unlock()
		return false
	}
	first := v.current.Swap(next) == nil
	switch {
	case first, sync:
		v.log.reset()
		e = next.syncEvent()
	case e == nil:
		v.mu.Unlock()
		return true
	default:
		v.log.append(e)
	}
	armed := v.takeArmedLocked()
	v.mu.Unlock()
	v.counters.events.Add(1)
	if first {
		close(v.loaded)
	}
	v.notifyAll(armed)
	if f := v.feed.Load(); f != nil {
		f.observe(v, e)
	}
	return true
}

// end ends the binding: subscribers are told why.
func (v *View) end(why error) {
	v.mu.Lock()
	if v.ended != nil {
		v.mu.Unlock()
		return
	}
	v.ended = why
	close(v.done)
	armed := v.takeArmedLocked()
	v.mu.Unlock()
	for _, s := range armed {
		s.notify()
	}
}

// why returns why the binding has ended, nil while it has not.
func (v *View) why() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ended
}

func (v *View) logger() *slog.Logger {
	if f := v.feed.Load(); f != nil {
		return f.logger()
	}
	return slog.Default()
}

// describe names the binding in errors, with the place of its declaration.
func (v *View) describe() string {
	return fmt.Sprintf("binding %q (%s)", v.ID(), v.spec.placeOfBind)
}

// HTTPDate is as [Snapshot.HTTPDate]; it returns false before the first load.
func (v *View) HTTPDate(now time.Time) (time.Time, bool) {
	if s := v.current.Load(); s != nil {
		return s.HTTPDate(now)
	}
	return time.Time{}, false
}
