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

// Spec is a declaration: which rows a binding holds, and how.
type Spec struct {
	Filter filter.Expr
	Where  driver.Condition
	Order  []driver.Order
	Limit  int // 0: none
	Margin int // rows to hold beyond the limit
	// OrderChoice and LimitChoice let members of a family choose order and limit; nil: no.
	OrderChoice *OrderChoice
	LimitChoice *LimitChoice
	ownOrder    bool // Order was chosen by the member
	Rules       live.WriteRules
	Serializer  *Serializer
	Columns     []string // nil: all
	Depends     []driver.Table
	Family      bool    // has parameters
	DeclaredAt  string  // file and line
	Problems    []error // with the declaration, to be reported when it is checked

	LogEvents, LogBytes int           // bounds of the event log
	MinInterval         time.Duration // least time between reads, with dependencies
	Awaited             bool          // writers wait for it even if it must be read in full
	Omit                bool          // leave out rows that cannot be shown
	IdleAfter           time.Duration // unused members retire after it
	MaxMembers          int
}

// WhereText returns the condition's text for the fingerprint, "" for none.
func (s *Spec) WhereText() string {
	if s.Where == nil {
		return ""
	}
	return s.Where.String()
}

// dependencies adds the tables of the options to the schema's dependencies, and returns an
// error in them.
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

// Parameter is a parameter of a family.
type Parameter struct {
	Name string
	Kind value.Kind
	// Optional: it may be omitted. Repeated: it may have several values.
	Optional, Repeated bool
	// Columns are the columns that it is compared with, all of Kind.
	Columns []driver.Column
	// Choices are the allowed values; nil: any of Kind.
	Choices []value.Value
}
