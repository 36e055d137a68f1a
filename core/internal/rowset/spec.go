package rowset

import (
	"errors"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/value"
)

// Spec is what a declaration amounts to: which rows a binding holds, and how.
type Spec struct {
	Filter filter.Expr
	Where  driver.Condition
	Order  []driver.Order
	Limit  int // 0: none
	Margin int // rows held beyond the limit
	// OrderChoice and LimitChoice let members of a family choose; nil: they do not.
	OrderChoice *OrderChoice
	LimitChoice *LimitChoice
	ownOrder    bool // of a member that has chosen it
	Rules       live.WriteRules
	Serializer  *Serializer
	Columns     []string // nil: all
	Depends     []driver.Table
	Family      bool    // has parameters
	DeclaredAt  string  // file and line
	Problems    []error // with the declaration, to be reported when it is checked

	LogEvents, LogBytes int           // that are kept for subscribers
	MinInterval         time.Duration // between reads, with dependencies
	Awaited             bool          // writers wait for it, also where it is read in full
	Omit                bool          // rows that cannot be shown are left out
	IdleAfter           time.Duration // members retire
	MaxMembers          int
}

// WhereText is the condition's text in version tokens.
func (s *Spec) WhereText() string {
	if s.Where == nil {
		return ""
	}
	return s.Where.String()
}

// dependencies completes the schema by what the options say, and returns what
// is wrong with them.
func (s *Spec) dependencies(schema *driver.Schema) error {
	all := slices.Concat(schema.Depends, s.Depends)
	schema.Depends = nil
	for _, t := range all {
		if t.Name == "" {
			return errors.New("it depends on a table without a name")
		}
		if t.Database == "" {
			t.Database = schema.Table.Database
		}
		if !slices.Contains(schema.Depends, t) {
			schema.Depends = append(schema.Depends, t)
		}
	}
	if s.MinInterval > 0 && len(schema.Depends) == 0 {
		return errors.New("MinInterval is for bindings that are read in full whenever a table changes: name their tables with DependsOn")
	}
	return nil
}

// Parameter is a family's parameter as its filter declares it.
type Parameter struct {
	Name string
	Kind value.Kind
	// Optional says that it need not be given, Repeated that it may have several
	// values.
	Optional, Repeated bool
	// Columns are those that it is compared with, all of this kind.
	Columns []driver.Column
	// Choices are the values that it may have; nil: any that the columns have.
	Choices []value.Value
}
