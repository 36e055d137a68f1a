package main

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pollsource"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/sse"
	"github.com/binderyhq/bindery/transports/websocket"
)

// live is what Bindery adds to the application.
type live struct {
	registry *core.Registry
	open     *core.Binding[Ticket]
}

// region live
func addLive(a *app) *live {
	open := bunsource.Bind[Ticket](a.db, "open",
		core.Where(filter.Eq("open", true)), core.OrderBy("id"), core.Writable(core.WriteRules{RowsMayLeave: true}))
	mine := bunsource.BindFamily[Ticket](a.db, "tickets",
		core.Where(filter.Eq("customer", filter.Param("customer"))), core.OrderBy("-id"))

	reg := core.NewRegistry()
	reg.Add(open, mine)
	reg.Watch(bunsource.Hooks(a.db), pollsource.New(time.Second, others(a.db)))
	reg.Authorize(core.AuthorizerFunc(a.authorize))

	g := a.echo.Group("/live", websocket.BearerHeader, a.identify())
	reg.Serve(
		rest.New(g.Group("/api")),
		sse.New(g.Group("/events")),
		websocket.New(g.Group("/ws"), websocket.Config{Origins: []string{deskOrigin}}),
	)
	return &live{reg, open}
}

// endregion

// region others

// others sees what other programs write to the database.
func others(db *bun.DB) pollsource.Check {
	if isSQLite(db) {
		return pollsource.DataVersion(db)
	}
	return pollsource.XMin(db, 0)
}

// endregion

// region authorize
func (a *app) authorize(ctx context.Context, access core.Access) (core.Decision, error) {
	w, _ := ctx.Value(whoKey{}).(who)
	switch {
	case w.session != "" && a.sessions.name(w.session) != "":
		return core.Allow(), nil
	case w.partner != "" && time.Now().Before(w.until):
		if access.Action != core.ActionRead {
			return core.Deny(), nil
		}
		return core.AllowWhere(filter.Eq("customer", w.partner)), nil
	}
	return core.Unauthenticated(`Bearer realm="help desk"`), nil
}

// endregion

// region signout

// signOut ends the session, and what is open under it.
func (l *live) signOut(a *app, session string) error {
	a.sessions.end(session)
	return l.registry.Reauthorize(l.registry.Stopping())
}

// endregion
