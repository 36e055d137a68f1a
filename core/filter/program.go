package filter

import (
	"errors"

	"github.com/binderyhq/bindery/core/value"
)

// Truth is a truth value of SQL's three-valued logic. Its order is that of
// the logic: And is the least, Or the greatest of its parts.
type Truth uint8

// The truths. The zero value is False.
const (
	False Truth = iota
	Unknown
	True
)

// String returns the truth's name in lower case.
func (t Truth) String() string {
	switch t {
	case False:
		return "false"
	case Unknown:
		return "unknown"
	case True:
		return "true"
	default:
		return "invalid"
	}
}

func truth(b bool) Truth {
	if b {
		return True
	}
	return False
}

// Program is an expression made ready for evaluation: its columns are found,
// its literals converted. It is immutable and safe for concurrent use.
type Program struct {
	root node
}

// Compile makes an expression ready for evaluation. columns returns the
// position and the kind of a column, and whether there is such a column. The
// errors are those of [Check], all of them, joined. A nil expression compiles
// to a program that is always true.
func Compile(e Expr, columns func(name string) (index int, kind value.Kind, ok bool)) (*Program, error) {
	c := compiler{columns: columns}
	c.kind = func(column string) (value.Kind, bool) {
		_, kind, ok := columns(column)
		return kind, ok
	}
	if isNil(e) {
		return &Program{root: constant(True)}, nil
	}
	if c.check(e); c.errs != nil {
		return nil, errors.Join(c.errs...)
	}
	return &Program{root: c.compile(e)}, nil
}

// Eval evaluates the expression for one row. get returns the row's value of
// the column at a position, in the kind that Compile was told; it is called
// only for columns of the expression, and not for all of them if some settle
// the answer. A row is selected when the answer is [True]. Eval does not
// allocate.
func (p *Program) Eval(get func(column int) value.Value) Truth {
	return p.root.eval(get)
}

type node interface {
	eval(get func(column int) value.Value) Truth
}

type (
	constant   Truth
	comparison struct {
		column  int
		op      Op
		literal value.Value
	}
	// few looks through a handful of literals, which is quicker than hashing.
	few struct {
		column   int
		literals []value.Value
	}
	many struct {
		column   int
		literals map[value.Value]struct{}
	}
	isNull struct{ column int }
	all    []node
	anyOf  []node
	not    struct{ node }
)

// fewest is the number of literals from which on a membership test hashes.
// BenchmarkMembership shows where it pays.
const fewest = 9

func (n constant) eval(func(int) value.Value) Truth { return Truth(n) }

func (n *comparison) eval(get func(int) value.Value) Truth {
	v := get(n.column)
	if v.IsNull() {
		return Unknown
	}
	switch n.op {
	case OpEq:
		return truth(v == n.literal) // Values are canonical: == is Compare == 0
	case OpNe:
		return truth(v != n.literal)
	}
	order := value.Compare(v, n.literal)
	switch n.op {
	case OpLt:
		return truth(order < 0)
	case OpLe:
		return truth(order <= 0)
	case OpGt:
		return truth(order > 0)
	default:
		return truth(order >= 0)
	}
}

func (n *few) eval(get func(int) value.Value) Truth {
	v := get(n.column)
	if v.IsNull() {
		return Unknown
	}
	for _, l := range n.literals {
		if v == l {
			return True
		}
	}
	return False
}

func (n *many) eval(get func(int) value.Value) Truth {
	v := get(n.column)
	if v.IsNull() {
		return Unknown
	}
	_, ok := n.literals[v]
	return truth(ok)
}

func (n isNull) eval(get func(int) value.Value) Truth { return truth(get(n.column).IsNull()) }

func (n all) eval(get func(int) value.Value) Truth {
	least := True
	for _, part := range n {
		if least = min(least, part.eval(get)); least == False {
			break
		}
	}
	return least
}

func (n anyOf) eval(get func(int) value.Value) Truth {
	greatest := False
	for _, part := range n {
		if greatest = max(greatest, part.eval(get)); greatest == True {
			break
		}
	}
	return greatest
}

func (n not) eval(get func(int) value.Value) Truth { return True - n.node.eval(get) }

// compiler compiles what its checker has found correct.
type compiler struct {
	checker
	columns func(name string) (index int, kind value.Kind, ok bool)
}

func (c *compiler) compile(e Expr) node {
	switch e := e.(type) {
	case *Comparison:
		index, kind, _ := c.columns(e.Column)
		return &comparison{index, e.Op, c.literal(e.Column, e.Value, kind)}
	case *Membership:
		return negated(c.membership(e), e.Negated)
	case *Search:
		return c.search(e)
	case *NullTest:
		index, _, _ := c.columns(e.Column)
		return negated(isNull{index}, e.Negated)
	case *Conjunction:
		return all(c.compileAll(e.Exprs))
	case *Disjunction:
		return anyOf(c.compileAll(e.Exprs))
	default:
		return not{c.compile(e.(*Negation).Expr)}
	}
}

func (c *compiler) compileAll(exprs []Expr) []node {
	nodes := make([]node, len(exprs))
	for i, e := range exprs {
		nodes[i] = c.compile(e)
	}
	return nodes
}

func (c *compiler) membership(e *Membership) node {
	if len(e.Values) == 0 {
		return constant(False)
	}
	index, kind, _ := c.columns(e.Column)
	if len(e.Values) < fewest {
		literals := make([]value.Value, len(e.Values))
		for i, l := range e.Values {
			literals[i] = c.literal(e.Column, l, kind)
		}
		return &few{index, literals}
	}
	set := make(map[value.Value]struct{}, len(e.Values))
	for _, l := range e.Values {
		set[c.literal(e.Column, l, kind)] = struct{}{}
	}
	return &many{index, set}
}

func (c *compiler) literal(column string, literal any, kind value.Kind) value.Value {
	v, _ := convert(column, literal, kind) // it did when it was checked
	return v
}

func negated(n node, negate bool) node {
	if negate {
		return not{n}
	}
	return n
}
