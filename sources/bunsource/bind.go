package bunsource

import (
	"reflect"
	"runtime"
	"strings"
	"sync"
	"weak"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
	"github.com/binderyhq/bindery/sources/bunsource/internal/sqlgen"
)

// Bind declares a binding over the table of the Bun model T. It does no input
// or output; the registry reports mistakes in the model or the options when it
// starts.
//
// Bindings of one model over one db share their reads: a change of a row that
// concerns a thousand of them is read once.
func Bind[T any](db *bun.DB, name string, opts ...core.Option) *core.Binding[T] {
	return core.Bind[T](name, sharedLoader[T](db), opts...)
}

// BindFamily declares a family over the table of the Bun model T: one binding for
// each combination of values of the parameters in its filter.
//
//	shelf := bunsource.BindFamily[Product](db, "shelf",
//		core.Where(filter.Eq("active", true), filter.Eq("venue", filter.Param("venue"))),
//		core.OrderBy("name"))
//
// Clients name a member by its parameters (GET /api/shelf?venue=store), programs
// by [core.Family.Open]. As with [Bind], all members share their reads, and
// those of the other bindings of the model.
func BindFamily[T any](db *bun.DB, name string, opts ...core.Option) *core.Family[T] {
	return core.BindFamily[T](name, sharedLoader[T](db), opts...)
}

// loaders holds the loaders that Bind made, so that it makes one per db, model
// and set of relations. Its pointers are weak, so that it keeps neither loaders
// nor databases alive.
//
// A loader that has asked the database about the table is not shared any more. It belongs
// to a registry that has started, and a new binding belongs to another registry. By the
// start of that one the table may have been dropped and made anew, with other types.
var loaders sync.Map // loaderKey -> weak.Pointer[Loader[T]]

type loaderKey struct {
	db        weak.Pointer[bun.DB]
	typ       reflect.Type
	relations string
}

func sharedLoader[T any](db *bun.DB, relations ...string) *Loader[T] {
	paths := model.RelationPaths(relations)
	key := loaderKey{weak.Make(db), reflect.TypeFor[T](), strings.Join(paths, ",")}
	fresh := newLoader[T](db, paths)
	ref := weak.Make(fresh)
	for {
		was, loaded := loaders.LoadOrStore(key, ref)
		if !loaded {
			break
		}
		if l := was.(weak.Pointer[Loader[T]]).Value(); l != nil && l.refined.Load() == nil {
			return l
		}
		if loaders.CompareAndSwap(key, was, ref) {
			break
		}
	}
	runtime.AddCleanup(fresh, func(key loaderKey) { loaders.CompareAndDelete(key, ref) }, key)
	return fresh
}

// Where restricts a binding by conditions in Bun's own terms:
//
//	bunsource.Bind[Product](db, "discounted", bunsource.Where(func(q *bun.SelectQuery) *bun.SelectQuery {
//		return q.Where("price < list_price").WhereOr("id IN (?)", onSale)
//	}))
//
// The function adds conditions to the query that it is given and returns it:
// Where, WhereOr, WhereGroup, WhereDeleted, WhereAllWithDeleted. It may refer to other
// tables in a subquery, but then a change of those is not noticed. Joins,
// relations, columns, orders and limits are refused when the registry starts.
//
// Bindery does not understand the conditions. It asks the database which rows
// meet them, with a query for each binding; [core.Where] is cheaper where it
// suffices. The function is called for every read, from any goroutine, and
// must always add the same conditions: the binding's version tokens depend on
// their text.
func Where(apply func(*bun.SelectQuery) *bun.SelectQuery) core.Option {
	return core.ForLoader(driver.Terms{Where: sqlgen.NewCondition(apply)})
}
