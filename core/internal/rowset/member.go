package rowset

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
)

// Member is one set of rows: what was declared, what the checks made of it,
// and the publisher of its view. It is a binding, or a member that parameters or a
// scope make of one. The feed that keeps it reads and publishes it; nobody else
// does meanwhile.
type Member struct {
	*live.View
	Publisher *live.Publisher
	Spec      *Spec // shared by the members of a family that choose neither order nor limit
	Loader    untyped.Loader
	Base      *Member     // what it is a member of; nil: it was declared itself
	Filter    filter.Expr // of the spec, with the parameters' values and the scope
	Scope     filter.Expr // what an authorizer confines it to; part of filter
	Seq       uint64      // they are numbered as they come

	// Set when the binding is checked, before it is published to anybody, and
	// again after the loader's Prepare.
	Shape atomic.Pointer[Shape]

	held   atomic.Pointer[Holding] // nil before the first load
	keeper Keeper                  // nil: nobody counts what it keeps

	claimed atomic.Bool // it has been added to a registry
}

// Keeper counts what a member keeps in memory.
type Keeper interface {
	live.Account
	// Margin tells how many bytes the rows take that are held and not shown.
	Margin(bytes int)
	// Expected returns how many rows the member will hold, as far as those of its
	// family tell that have loaded.
	Expected() int
	// Loaded is called once, when the member has been published for the first time.
	// It reports whether there is room for it; otherwise the member has ended.
	Loaded() bool
}

// Expected returns how many rows the member may be expected to hold once it has
// loaded.
func (v *Member) Expected() int {
	if v.keeper == nil {
		return 0
	}
	return v.keeper.Expected()
}

// Admit has the member's keeper count what has been loaded. It reports whether
// there is room for it.
func (v *Member) Admit() bool { return v.keeper == nil || v.keeper.Loaded() }

// Claim makes the member part of a registry. It returns false when it has been part of
// one before.
func (v *Member) Claim() bool { return !v.claimed.Swap(true) }

// memberCount numbers members.
var memberCount atomic.Uint64

// NewMember returns a member of which nothing has been checked or read. keeper may
// be nil.
func NewMember(name string, params live.Params, r untyped.Loader, s *Spec, keeper Keeper) *Member {
	o := live.Options{Name: name, Params: params, LogEvents: s.LogEvents, LogBytes: s.LogBytes}
	if keeper != nil {
		o.Account = keeper
	}
	view, pub := live.New(o)
	s = s.chosen(params)
	return &Member{View: view, Publisher: pub, Spec: s, Loader: r, Filter: s.Filter, Seq: memberCount.Add(1), keeper: keeper}
}

// Become has the binding's checks and its readers use the shape from now on.
func (v *Member) Become(sh *Shape) {
	v.Shape.Store(sh)
	v.Publisher.Describe(live.Description{Schema: sh.Schema, Order: sh.OrderBy, OrderFields: sh.orderFields(v.Loader.RowType()), Rules: v.Spec.Rules})
}

// Describe names the binding in errors, with the place of its declaration.
func (v *Member) Describe() string {
	return fmt.Sprintf("binding %q (%s)", v.ID(), v.Spec.DeclaredAt)
}

// RelatedTables describes the tables whose rows the binding's rows show.
func (v *Member) RelatedTables() []driver.Related {
	if sh := v.Shape.Load(); sh != nil {
		return sh.related
	}
	return nil
}

// Tables returns the tables whose changes concern the binding, each once.
func (v *Member) Tables() []driver.Table {
	schema := v.Schema()
	tables := slices.Clone(schema.Sources())
	for _, r := range v.RelatedTables() {
		if !slices.Contains(tables, r.Schema.Table) {
			tables = append(tables, r.Schema.Table)
		}
	}
	return tables
}

// BySeq orders bindings as they came.
func BySeq(a, b *Member) int { return cmp.Compare(a.Seq, b.Seq) }

// InOrder returns the bindings of a set as they came.
func InOrder(views map[*Member]struct{}) []*Member {
	return slices.SortedFunc(maps.Keys(views), BySeq)
}
