// Package health has handlers of net/http for liveness and readiness probes, and drains
// the program before it stops.
//
//	h := health.New(reg)
//	mux.Handle("/healthz", h.Live())
//	mux.Handle("/readyz", h.Ready())
//	…
//	<-ctx.Done()       // SIGTERM
//	_ = h.Drain(end)   // not ready any more; then streams end one by one
//	err = reg.Shutdown(end)
//
// # Liveness
//
// 200 as long as the program answers. The handler ignores the database, because
// restarting the program would not bring the database back.
//
// # Readiness
//
// 503 with Retry-After until every binding has loaded, and again once the shutdown begins.
// In between it is 200 even if the database goes away, because rows are served from
// memory. The body says which bindings are loading or stale, and why.
package health
