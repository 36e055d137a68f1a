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

// Member is one set of rows: its declaration, its checked shape, and the publisher of its
// view. It is a declared binding or family, or a member of one with parameter values or a
// scope. Only the feed that keeps it reads and publishes it.
type Member struct {
	*live.View
	Publisher *live.Publisher
	Spec      *Spec // shared by the members of a family that choose neither order nor limit
	Loader    untyped.Loader
	Base      *Member     // the declaration that it is a member of; nil: it was declared itself
	Filter    filter.Expr // the spec's, with the parameters' values and the scope
	Scope     filter.Expr // the filter that an authorizer confines it to; part of Filter
	Seq       uint64      // members are numbered in the order of their creation

	// Shape is set when the binding is checked, before anything is published, and again
	// after the loader's Prepare.
	Shape atomic.Pointer[Shape]

	held   atomic.Pointer[Holding] // nil before the first load
	keeper Keeper                  // nil: its memory is not counted

	claimed atomic.Bool // it was added to a registry
}

// Keeper counts the memory that a member uses.
type Keeper interface {
	live.Account
	// Margin is told the size in bytes of the rows beyond the limit.
	Margin(bytes int)
	// Expected estimates how many rows the member will hold, from loaded members of its
	// family.
	Expected() int
	// Loaded is called once, after the member was first published. It reports whether the
	// budget has room for it; if not, the member has ended.
	Loaded() bool
}

// Expected estimates how many rows the member will hold; 0 without a keeper.
func (v *Member) Expected() int {
	if v.keeper == nil {
		return 0
	}
	return v.keeper.Expected()
}

// Admit tells the member's keeper that it has loaded. It reports whether the budget has
// room for it.
func (v *Member) Admit() bool { return v.keeper == nil || v.keeper.Loaded() }

// Claim marks the member as part of a registry. It returns false if it was claimed before.
func (v *Member) Claim() bool { return !v.claimed.Swap(true) }

// memberCount numbers members.
var memberCount atomic.Uint64

// NewMember returns a member that is neither checked nor loaded. keeper may be nil.
func NewMember(name string, params live.Params, r untyped.Loader, s *Spec, keeper Keeper) *Member {
	o := live.Options{Name: name, Params: params, LogEvents: s.LogEvents, LogBytes: s.LogBytes}
	if keeper != nil {
		o.Account = keeper
	}
	view, pub := live.New(o)
	s = s.chosen(params)
	return &Member{View: view, Publisher: pub, Spec: s, Loader: r, Filter: s.Filter, Seq: memberCount.Add(1), keeper: keeper}
}

// Become sets the shape, and describes it to the view's readers.
func (v *Member) Become(sh *Shape) {
	v.Shape.Store(sh)
	v.Publisher.Describe(live.Description{Schema: sh.Schema, Order: sh.OrderBy, OrderFields: sh.orderFields(v.Loader.RowType()), Rules: v.Spec.Rules})
}

// Describe returns the binding's name for errors, with the place of its declaration.
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

// BySeq compares bindings by the order of their creation.
func BySeq(a, b *Member) int { return cmp.Compare(a.Seq, b.Seq) }

// InOrder returns the bindings of a set in the order of their creation.
func InOrder(views map[*Member]struct{}) []*Member {
	return slices.SortedFunc(maps.Keys(views), BySeq)
}
