package feed

import (
	"maps"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// plannedRead is one statement of a batch, and the bindings of a pool that its
// rows are for.
type plannedRead struct {
	pool  *concern.Pool
	query driver.Query
	plain bool // by Load, which takes keys or everything, and no conditions

	// full are the bindings of which the statement reads all rows.
	full []*rowset.Member
	// keyed: the statement reads the batch's keys for every binding of the pool.
	keyed bool
	// asked is the binding of which the statement asks which of the batch's keys it holds.
	asked *rowset.Member
	// keys are those of the batch, with keyed or asked.
	keys []driver.Key

	// starts get the rows of the batch's keys too, with keyed. They are no part of the pool
	// yet, or hold something else than it knows; see startingPoint.
	starts []*rowset.Member

	// unreadable are keys whose rows cannot be read. The statement leaves them out.
	unreadable map[driver.Key]error

	// sharing is the pool with whose bindings the rows are shared; nil means pool.
	sharing *concern.Pool

	// found are rows that a comparison has read already; then there is no statement, and
	// newer is set. It names the bindings that hold newer rows and get none of these.
	found []rowset.Fetched
	newer map[*rowset.Member]struct{}
}

// plan is how a batch is read.
type plan struct{ reads []plannedRead }

// plan decides which statements answer the work: for each loader one for all
// bindings whose membership is decided row by row in memory, and one for each
// other. The bindings that are to be read in full get all their rows, the others
// the rows of the batch's keys.
func (f *Feed) plan(w work) plan {
	var p plan
	full := make(map[*concern.Pool]map[*rowset.Member]struct{})
	add := func(pl *concern.Pool, v *rowset.Member) {
		if w.without(v) {
			return
		}
		if full[pl] == nil {
			full[pl] = make(map[*rowset.Member]struct{})
		}
		full[pl][v] = struct{}{}
	}
	for v := range w.reloads {
		add(f.poolOf(v), v)
	}
	for v := range w.starts {
		// Which of its rows show what has changed elsewhere is not known yet.
		if pl := f.poolOf(v); w.everything(pl) || w.changesShown(v) {
			add(pl, v)
		}
	}
	for _, pl := range f.pools {
		keys, whole := w.forPool(pl)
		for v := range pl.Asked {
			if whole {
				add(pl, v)
			}
		}
		if whole {
			for v := range pl.InMemory {
				add(pl, v)
			}
		}
		p.readPool(pl, full[pl], keys, &w)
	}
	return p
}

// changesShown reports whether rows have changed that the binding's rows may show.
func (w *work) changesShown(v *rowset.Member) bool {
	for _, rel := range v.RelatedTables() {
		if p := w.Related[rel.Schema.Table]; p != nil && !p.Empty() {
			return true
		}
	}
	return false
}

// readPool plans the reads of one pool. full are the bindings to be read in
// full, keys those of the batch.
func (p *plan) readPool(pl *concern.Pool, full map[*rowset.Member]struct{}, keys []driver.Key, w *work) {
	byFilter := make([]*rowset.Member, 0, len(full))
	var windows, alone []*rowset.Member
	for _, v := range rowset.InOrder(full) {
		switch sh := v.Shape.Load(); {
		case v.SharesReads():
			byFilter = append(byFilter, v)
		case sh.InMemory && !sh.Collated:
			windows = append(windows, v)
		default:
			alone = append(alone, v)
		}
	}
	// So many limited reads cost more than one of the table, and none are needed
	// beside one.
	if len(windows) > maxLimitedFullReads || len(byFilter) > 0 && readsAll(pl, byFilter) {
		byFilter = append(byFilter, windows...)
		windows = nil
	}
	for _, v := range append(windows, alone...) {
		q := driver.Query{Filter: v.Filter, Where: v.Spec.Where, Limit: v.Reach()}
		if sh := v.Shape.Load(); q.Limit > 0 || sh.Collated {
			q.Order = sh.OrderBy
		}
		p.reads = append(p.reads, plannedRead{pool: pl, query: q, full: []*rowset.Member{v}})
	}
	starts := w.startsOf(pl)
	someone := w.someTakePart(pl.InMemory)
	for _, v := range starts {
		someone = someone || v.ByRow()
	}
	keyed := len(keys) > 0 && someone
	for _, r := range fullReads(pl, byFilter) {
		if r.plain && keyed { // it reads everything: the others need no read of their own
			r.keyed, r.keys, r.unreadable, r.starts, keyed = true, keys, w.unreadable, starts, false
		}
		p.reads = append(p.reads, r)
	}
	if keyed {
		p.reads = append(p.reads, plannedRead{pool: pl, query: driver.Query{Keys: keys}, plain: true, keyed: true, keys: keys, unreadable: w.unreadable, starts: starts})
	}
	if len(keys) == 0 {
		return
	}
	asked := maps.Clone(pl.Asked)
	for _, v := range starts {
		if !v.ByRow() {
			asked[v] = struct{}{}
		}
	}
	for _, v := range rowset.InOrder(asked) {
		if _, ok := full[v]; !ok && !w.without(v) && !isQuery(v) {
			q := driver.Query{Filter: v.Filter, Where: v.Spec.Where, Keys: keys}
			p.reads = append(p.reads, plannedRead{pool: pl, query: q, asked: v, keys: keys, unreadable: w.unreadable})
		}
	}
}

// The filters of several bindings that are to be read in full are sent to the
// database together, so many in a statement. When that makes too many
// statements all rows of the table are read.
const (
	maxSharedFilters     = 16
	maxFilteredFullReads = 8
	maxLimitedFullReads  = maxSharedFilters * maxFilteredFullReads
)

// readsAll reports whether the bindings, to be read in full, are given all rows
// of the table.
func readsAll(pl *concern.Pool, views []*rowset.Member) bool {
	return !pl.Loader.CanQuery() || len(views) > maxSharedFilters*maxFilteredFullReads ||
		slices.ContainsFunc(views, func(v *rowset.Member) bool { return v.Filter == nil })
}

// fullReads reads all rows of several bindings whose filters the database
// evaluates, or else all rows of the table.
func fullReads(pl *concern.Pool, views []*rowset.Member) []plannedRead {
	if len(views) == 0 {
		return nil
	}
	if readsAll(pl, views) {
		return []plannedRead{{pool: pl, plain: true, full: views}}
	}
	var reads []plannedRead
	for len(views) > 0 {
		some := views[:min(len(views), maxSharedFilters)]
		views = views[len(some):]
		filters := make([]filter.Expr, len(some))
		for i, v := range some {
			filters[i] = v.Filter
		}
		reads = append(reads, plannedRead{pool: pl, query: driver.Query{Filter: filter.Or(filters...)}, full: some})
	}
	return reads
}
