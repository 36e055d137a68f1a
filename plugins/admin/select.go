package admin

import (
	"context"
	"net/url"
	"slices"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

// everything is the name that stands for all bindings.
const everything = "*"

// selection says which bindings an operation works on.
type selection struct {
	name  string
	args  url.Values // the parameters of a member
	scope string     // the condition of a binding that an authorizer's scope has made
	exact bool       // scope counts; "" then means the binding without a scope
}

// selectBy reads a selection from the query. Parameters may have any name except those
// that the API uses itself: token, the reserved ones, and scope if the binding has no
// such parameter.
func (p *Plugin) selectBy(name string, query url.Values, reserved ...string) (selection, error) {
	s := selection{name: name, args: make(url.Values)}
	if name != everything && !slices.Contains(p.names(), name) {
		return s, unknownBinding(name, p.names())
	}
	params := p.paramsOf(name)
	for key, values := range query {
		switch {
		case key == "token", slices.Contains(reserved, key):
		case key == "scope" && !slices.Contains(params, key):
			if len(values) > 1 {
				return s, badParameter("parameter " + quote(key) + " is given more than once")
			}
			s.scope, s.exact = values[0], true
		case name == everything:
			return s, badParameter("parameter " + quote(key) + " goes with one binding, not with all")
		default:
			s.args[key] = values
		}
	}
	return s, nil
}

func (p *Plugin) paramsOf(name string) []string {
	for _, f := range p.reg.Status().Families {
		if f.Name == name {
			return f.Params
		}
	}
	return nil
}

// views returns the selected bindings. Without parameters these are all bindings with
// the name, including every member of a family that is alive. With parameters it is one
// member, which is created if necessary. They stay alive until release is called.
func (p *Plugin) views(ctx context.Context, s selection) (views []*live.View, release func(), err error) {
	release = func() {}
	id := ""
	if len(s.args) > 0 {
		if id, err = p.reg.MemberID(s.name, core.QueryArgs(s.args)); err != nil {
			return nil, nil, err
		}
		if !s.exact || s.scope == "" {
			if _, release, err = p.reg.Hold(ctx, s.name, core.QueryArgs(s.args)); err != nil {
				return nil, nil, err
			}
		}
	}
	for _, v := range p.reg.Views() {
		switch {
		case s.name != everything && v.Name() != s.name,
			id != "" && v.ID() != id,
			s.exact && p.reg.StatusOf(v).Scope != s.scope:
			continue
		}
		views = append(views, v)
	}
	if len(views) == 0 && s.exact {
		release()
		return nil, nil, notFound("no member of " + quote(s.name) + " has the scope " + quote(s.scope))
	}
	return views, release, nil
}
