package rowset

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/value"
)

// OrderChoice is a parameter that chooses the order of a family's members.
type OrderChoice struct {
	Name    string
	choices []string // as they were declared
	orders  [][]driver.Order
}

// NewOrderChoice returns a choice of orders. Each is a list of columns joined by commas; a
// leading "-" makes a column descending.
func NewOrderChoice(name string, choices []string) *OrderChoice {
	c := &OrderChoice{Name: name, choices: choices}
	for _, choice := range choices {
		c.orders = append(c.orders, Orders(strings.Split(choice, ",")...))
	}
	return c
}

// Orders parses columns to order by. A leading "-" makes a column descending.
func Orders(columns ...string) []driver.Order {
	orders := make([]driver.Order, len(columns))
	for i, c := range columns {
		name, desc := strings.CutPrefix(c, "-")
		orders[i] = driver.Order{Column: name, Desc: desc}
	}
	return orders
}

// LimitChoice is a parameter that chooses the limit of a family's members.
type LimitChoice struct {
	Name   string
	limits []int
	// Margin returns how many rows are held beyond a limit.
	Margin func(limit int) int
}

// NewLimitChoice returns a choice of limits. The caller must set its Margin.
func NewLimitChoice(name string, limits []int) *LimitChoice {
	return &LimitChoice{Name: name, limits: limits}
}

// chosen returns the spec of the member with the parameters: a copy with the chosen order
// and limit, or the family's own if none is chosen.
func (s *Spec) chosen(params live.Params) *Spec {
	own := *s
	changed := false
	if c := s.OrderChoice; c != nil {
		if v, ok := params.Get(c.Name); ok {
			if i := slices.Index(c.choices, v.String()); i >= 0 {
				own.Order, own.ownOrder, changed = c.orders[i], true, true
			}
		}
	}
	if c := s.LimitChoice; c != nil {
		if v, ok := params.Get(c.Name); ok {
			own.Limit, changed = int(v.Any().(int64)), true
			own.Margin = c.Margin(own.Limit)
		}
	}
	if !changed {
		return s
	}
	return &own
}

// setChoices adds the parameters that choose order and limit, and returns the errors in
// them.
func (sh *Shape) setChoices(s *Spec) (errs []error) {
	if c := s.OrderChoice; c != nil {
		var values []value.Value
		for i, order := range c.orders {
			values = append(values, value.Text(c.choices[i]))
			scratch := Shape{Layout: &Layout{Schema: sh.Schema}}
			for _, err := range scratch.setOrder(order) {
				errs = append(errs, fmt.Errorf("OrderParam %q: %w", c.Name, err))
			}
		}
		errs = append(errs, sh.addChoice("OrderParam", Parameter{Name: c.Name, Kind: value.KindText, Optional: true, Choices: values})...)
	}
	if c := s.LimitChoice; c != nil {
		var values []value.Value
		for _, limit := range c.limits {
			values = append(values, value.Int(int64(limit)))
			if limit < 1 {
				errs = append(errs, fmt.Errorf("LimitParam %q: limit %d: must be at least 1", c.Name, limit))
			}
		}
		errs = append(errs, sh.addChoice("LimitParam", Parameter{Name: c.Name, Kind: value.KindInt, Optional: true, Choices: values})...)
	}
	return errs
}

func (sh *Shape) addChoice(option string, p Parameter) (errs []error) {
	at, found := sh.findParameter(p.Name)
	err := parameterName(p.Name)
	switch {
	case err != nil:
	case found:
		err = errors.New("the name is another parameter's")
	case len(p.Choices) == 0:
		err = errors.New("there is nothing to choose from")
	}
	if err != nil {
		return []error{fmt.Errorf("%s %q: %w", option, p.Name, err)}
	}
	sh.Params = slices.Insert(sh.Params, at, p)
	return nil
}
