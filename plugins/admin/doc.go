// Package admin lets operators inspect a running registry and act on it: a JSON API, a
// live page, and a command (cmd/bindery). docs/admin.md describes all of it,
// docs/protocol.md the API.
//
// # Setup
//
//	reg.Use(admin.New(e.Group("/admin"), admin.Config{Token: token}))
//
// # Access
//
// The plugin refuses to start without a guard: a token, a middleware of the
// application, or both. With [Config].Token a request brings the token as
// "Authorization: Bearer", or once as the query parameter token, which becomes a
// cookie. With [Config].Guard the application decides; with both it decides first.
//
// A request that changes something and does not bring the token itself has to come
// from a page of the same origin (see [Config].Guard): pages of other origins can
// make a browser send its cookies along.
//
// # Limits
//
// Operations end after [Config].Timeout. At most [Config].MaxStreams live streams
// are open at a time; others are answered 503, and the page polls instead. Lists of
// keys in answers end after a hundred.
package admin
