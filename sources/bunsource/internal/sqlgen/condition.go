package sqlgen

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/feature"
	"github.com/uptrace/bun/schema"
)

// Condition carries the function given to bunsource.Where through the engine to the
// loader.
type Condition struct {
	apply func(*bun.SelectQuery) *bun.SelectQuery
	Text  string
	Err   error // instead of apply
}

// String implements [driver.Condition].
func (c *Condition) String() string { return c.Text }

// Validate returns Err. The registry calls it when it starts.
func (c *Condition) Validate() error { return c.Err }

func NewCondition(apply func(*bun.SelectQuery) *bun.SelectQuery) *Condition {
	if apply == nil {
		return &Condition{Err: errors.New("bunsource.Where was given no function")}
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
		return &Condition{Text: err.Error(), Err: err}
	}
	return &Condition{apply: apply, Text: text}
}

// The models for which a condition's text is written. A condition serves many
// models, and its text must be known before the first; so the text names
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

// conditionText returns the WHERE clause that the function adds. It returns an error
// if the function changes any other part of the query.
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

// textDB writes queries as text. It has no database.
var textDB = sync.OnceValue(func() *bun.DB {
	d := &textDialect{}
	d.tables = schema.NewTables(d)
	return bun.NewDB(nil, d)
})

// textDialect is plain SQL. Its Name must be one that Bun does not know. With
// dialect.Invalid Bun would omit all values.
type textDialect struct {
	schema.BaseDialect
	tables *schema.Tables
}

func (*textDialect) Init(*sql.DB) {}

func (*textDialect) Name() dialect.Name { return -1 }

func (*textDialect) Features() feature.Feature { return 0 }

func (d *textDialect) Tables() *schema.Tables { return d.tables }

func (*textDialect) OnTable(*schema.Table) {}

func (*textDialect) IdentQuote() byte { return '"' }

func (*textDialect) AppendSequence(b []byte, _ *schema.Table, _ *schema.Field) []byte { return b }

func (*textDialect) DefaultVarcharLen() int { return 0 }

func (*textDialect) DefaultSchema() string { return "" }
