package bunsource

import (
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"time"
	"weak"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/feature"
	"github.com/uptrace/bun/schema"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
)

// Bind declares a binding over the table of the Bun model T. It does no input
// or output; what is wrong with the model or the options is reported when the
// registry starts.
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
var loaders sync.Map // loaderKey -> weak.Pointer[Loader[T]]

type loaderKey struct {
	db        weak.Pointer[bun.DB]
	typ       reflect.Type
	relations string
}

func sharedLoader[T any](db *bun.DB, relations ...string) *Loader[T] {
	paths := relationPaths(relations)
	key := loaderKey{weak.Make(db), reflect.TypeFor[T](), strings.Join(paths, ",")}
	fresh := newLoader[T](db, paths)
	ref := weak.Make(fresh)
	for {
		was, loaded := loaders.LoadOrStore(key, ref)
		if !loaded {
			break
		}
		if l := was.(weak.Pointer[Loader[T]]).Value(); l != nil {
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
// Bindery does not understand the conditions. Which rows meet them is asked of
// the database, for each binding by itself; [core.Where] is cheaper where it
// suffices. The function is called for every read, from any goroutine, and
// must always add the same conditions: their text is part of what makes the
// binding's versions.
func Where(apply func(*bun.SelectQuery) *bun.SelectQuery) core.Option {
	return core.ForLoader(driver.Terms{Where: newCondition(apply)})
}

// condition is what Where passes to the loader through the engine.
type condition struct {
	apply func(*bun.SelectQuery) *bun.SelectQuery
	text  string
	err   error // instead of apply
}

// String implements [driver.Condition].
func (c *condition) String() string { return c.text }

// Validate has a wrong condition reported when the registry starts.
func (c *condition) Validate() error { return c.err }

func newCondition(apply func(*bun.SelectQuery) *bun.SelectQuery) *condition {
	if apply == nil {
		return &condition{err: errors.New("bunsource.Where was given no function")}
	}
	text, err := conditionText(apply, (*plainRow)(nil))
	if err != nil {
		// Conditions on soft-deleted rows need a model that has them.
		if t, again := conditionText(apply, (*deletableRow)(nil)); again == nil {
			text, err = t, nil
		}
	}
	if err != nil {
		err = fmt.Errorf("the function given to bunsource.Where: %w", err)
		return &condition{text: err.Error(), err: err}
	}
	return &condition{apply: apply, text: text}
}

// The models that conditions are written out for. A condition is used with
// many models, and its text must be known before the first; so the text names
// the columns as the function does, and the table as "row".
type (
	plainRow struct {
		bun.BaseModel `bun:"table:rows,alias:row"`
		ID            int64 `bun:"id,pk"`
	}
	deletableRow struct {
		bun.BaseModel `bun:"table:rows,alias:row"`
		ID            int64     `bun:"id,pk"`
		DeletedAt     time.Time `bun:"deleted_at,soft_delete,nullzero"`
	}
)

// conditionText returns the WHERE clause that the function makes. Everything
// else that it might do to a query shows in the text before the clause or
// after it, and is an error.
func conditionText(apply func(*bun.SelectQuery) *bun.SelectQuery, model any) (text string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v", p)
		}
	}()
	db := textDB()
	frame := func() *bun.SelectQuery {
		return db.NewSelect().Model(model).ColumnExpr("0").
			GroupExpr("1").Having("2").OrderExpr("3").Limit(4).Offset(5).For("6")
	}
	const behind = " GROUP BY 1 HAVING (2) ORDER BY 3 LIMIT 4 OFFSET 5 FOR 6"
	before := `SELECT 0 FROM "rows" AS "row"`

	q := frame()
	result := apply(q)
	if result != q {
		return "", errors.New("it must return the query that it was given")
	}
	b, err := q.AppendQuery(db.QueryGen(), nil)
	if err != nil {
		return "", err
	}
	clause, ok := strings.CutPrefix(string(b), before)
	if ok {
		clause, ok = strings.CutSuffix(clause, behind)
	}
	clause, isWhere := strings.CutPrefix(clause, " WHERE ")
	if !ok || clause != "" && !isWhere {
		return "", errors.New("it may add conditions (Where, WhereOr, WhereGroup, WhereDeleted), nothing else")
	}
	return clause, nil
}

// textDB writes queries that no database will see.
var textDB = sync.OnceValue(func() *bun.DB {
	d := &textDialect{}
	d.tables = schema.NewTables(d)
	return bun.NewDB(nil, d)
})

// textDialect is plain SQL. Its name must be none that Bun knows: that of
// no dialect makes Bun leave out all values.
type textDialect struct {
	schema.BaseDialect
	tables *schema.Tables
}

func (*textDialect) Init(*sql.DB)                                                     {}
func (*textDialect) Name() dialect.Name                                               { return -1 }
func (*textDialect) Features() feature.Feature                                        { return 0 }
func (d *textDialect) Tables() *schema.Tables                                         { return d.tables }
func (*textDialect) OnTable(*schema.Table)                                            {}
func (*textDialect) IdentQuote() byte                                                 { return '"' }
func (*textDialect) AppendSequence(b []byte, _ *schema.Table, _ *schema.Field) []byte { return b }
func (*textDialect) DefaultVarcharLen() int                                           { return 0 }
func (*textDialect) DefaultSchema() string                                            { return "" }
