package feed

import (
	"maps"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// plannedRead is one statement of a batch, and the bindings of a pool that get its rows.
type plannedRead struct {
	pool  *concern.Pool
	query driver.Query
	plain bool // uses Load, which takes keys or nil, and no conditions

	// full are the bindings that the statement reads in full.
	full []*rowset.Member
	// keyed: the statement reads the batch's keys for every binding of the pool.
	keyed bool
	// asked: the statement asks which of the batch's keys belong to this binding.
	asked *rowset.Member
	// keys are the batch's keys, with keyed or asked.
	keys []driver.Key

	// starts are further bindings that get the rows of the batch's keys, with keyed. The
	// pool does not know them yet, or knows other rows of them; see startingPoint.
	starts []*rowset.Member

	// unreadable are keys whose rows cannot be read. The statement leaves them out.
	unreadable map[driver.Key]error

	// sharing is the pool whose bindings can share the rows read; nil means pool.
	sharing *concern.Pool

	// found are rows that a comparison has read; then there is no statement, and newer is
	// not nil. The bindings in newer hold newer rows and get none of these.
	found []rowset.Fetched
	newer map[*rowset.Member]struct{}
}

// plan is the statements of a batch.
type plan struct{ reads []plannedRead }

// plan decides which statements do the work. For each loader, one reads the batch's keys
// for all bindings whose membership is decided in memory, and one asks about these keys for
// each other binding. Further statements read the bindings that are to be read in full.
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
		// The pool does not know yet which of its rows show related rows.
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

// changesShown reports whether related rows have changed that the binding may show.
func (w *work) changesShown(v *rowset.Member) bool {
	for _, rel := range v.RelatedTables() {
		if p := w.Related[rel.Schema.Table]; p != nil && !p.Empty() {
			return true
		}
	}
	return false
}

// readPool plans the reads of one pool. full are the bindings to be read in full, keys the
// batch's keys.
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
	// Many limited reads cost more than one of the table, and beside a read of the table
	// none is needed.
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
		if r.plain && keyed { // it reads the whole table, and so the keys
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
		_, inFull := full[v]
		_, queried := w.queried[v]
		if !inFull && !w.without(v) && !isQuery(v) && !queried {
			q := driver.Query{Filter: v.Filter, Where: v.Spec.Where, Keys: keys}
			p.reads = append(p.reads, plannedRead{pool: pl, query: q, asked: v, keys: keys, unreadable: w.unreadable})
		}
	}
}

// Bindings that are read in full together have their filters joined with OR, at most
// maxSharedFilters in a statement. If that takes more than maxFilteredFullReads statements,
// one reads the whole table instead. So does one in place of more than maxLimitedFullReads
// reads of limited bindings.
const (
	maxSharedFilters     = 16
	maxFilteredFullReads = 8
	maxLimitedFullReads  = maxSharedFilters * maxFilteredFullReads
)

// readsAll reports whether one read of the whole table serves the bindings.
func readsAll(pl *concern.Pool, views []*rowset.Member) bool {
	return !pl.Loader.CanQuery() || len(views) > maxSharedFilters*maxFilteredFullReads ||
		slices.ContainsFunc(views, func(v *rowset.Member) bool { return v.Filter == nil })
}

// fullReads returns reads of the bindings by their filters, or one of the whole table.
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
