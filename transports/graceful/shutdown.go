package graceful

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Shutdown shuts the servers down at the same time, and cuts off who is late.
//
// [http.Server.Shutdown] waits for every request to be answered, and for the body
// of one that was answered without reading it: one client that stops halfway
// keeps it waiting until the context ends, when it fails. Shutdown waits so
// for three quarters of the time that the context has left, or until the context ends where that
// has no deadline. Then it closes the connections that are left, says so in the
// log, and returns nil: that is how such clients end. It
// returns an error when a server cannot be shut down or closed for another reason.
//
// The registry's Shutdown comes first, see the package's documentation.
func Shutdown(ctx context.Context, servers ...*http.Server) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)*3/4)
		defer cancel()
	}
	errs := make([]error, len(servers))
	var ending sync.WaitGroup
	for i, srv := range servers {
		ending.Go(func() {
			errs[i] = srv.Shutdown(ctx)
			if ctx.Err() != nil && errors.Is(errs[i], ctx.Err()) {
				slog.Warn("graceful: requests have not ended in time; their connections are closed", slog.String("id", "graceful-cut"), slog.String("addr", srv.Addr))
				errs[i] = srv.Close()
			}
		})
	}
	ending.Wait()
	return errors.Join(errs...)
}
