package main

import (
	"context"
	"errors"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
)

// challenge asks for a session. No registered scheme does, and the page does not
// need one; but a 401 must say something (RFC 9110, section 15.5.2).
const challenge = `Cookie realm="workboard", cookie-name="` + cookieName + `"`

// authorizer says who may see and write what. It is asked for every request,
// and again for each stream that is open: so it looks into memory only.
type authorizer struct {
	people   *core.Binding[Person]
	sessions *sessions
}

var _ core.Authorizer = (*authorizer)(nil)

// Authorize implements [core.Authorizer]. What no case names is denied.
func (a *authorizer) Authorize(ctx context.Context, access core.Access) (core.Decision, error) {
	person, known, err := a.who(ctx)
	if err != nil {
		return core.Deny(), err // no decision: what is open goes on
	}
	mine := filter.Eq("tenant_id", person.TenantID)
	switch {
	case !known:
		return core.Unauthenticated(challenge), nil
	case person.Suspended:
		return core.Deny(), nil
	case person.Role == roleOperator:
		return core.Allow(), nil
	case person.Role == roleAdmin:
		return core.AllowWhere(mine), nil
	case person.Role == roleReader && access.Action == core.ActionRead && access.Binding != "people":
		return core.AllowWhere(mine), nil
	}
	return core.Deny(), nil
}

// who returns the person to whom the context's session belongs, as they are now.
func (a *authorizer) who(ctx context.Context) (p Person, known bool, err error) {
	name, ok := a.sessions.person(sessionOf(ctx))
	if !ok {
		return Person{}, false, nil
	}
	if a.people.Snapshot() == nil {
		return Person{}, false, errors.New("multitenant: it is not known yet who may do what")
	}
	p, known = a.people.Get(driver.KeyOf(name))
	return p, known, nil
}
