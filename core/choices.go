package core

import (
	"fmt"

	"github.com/binderyhq/bindery/core/internal/rowset"
)

// OrderParam lets whoever opens a member of a family choose its order, by the
// parameter of that name. Its values are the choices: columns as [OrderBy] takes
// them, joined by commas. Any other value is an [*ArgumentError]. Where the
// parameter is not given, OrderBy decides.
//
//	core.OrderBy("name"), core.OrderParam("sort", "name", "price", "-price,name")
func OrderParam(name string, choices ...string) Option {
	return func(s *settings) {
		if s.OrderChoice != nil {
			s.Problems = append(s.Problems, fmt.Errorf("OrderParam is given twice (%q, %q)", s.OrderChoice.Name, name))
		}
		s.OrderChoice = rowset.NewOrderChoice(name, choices)
	}
}

// LimitParam lets whoever opens a member of a family choose how many rows it has at
// most, by the parameter of that name, out of the limits. Any other number is an
// [*ArgumentError]. Where the parameter is not given, [Limit] decides.
//
//	core.Limit(20), core.LimitParam("top", 20, 50, 100)
func LimitParam(name string, limits ...int) Option {
	return func(s *settings) {
		if s.LimitChoice != nil {
			s.Problems = append(s.Problems, fmt.Errorf("LimitParam is given twice (%q, %q)", s.LimitChoice.Name, name))
		}
		s.LimitChoice = rowset.NewLimitChoice(name, limits)
	}
}
