package graceful

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Shutdown shuts the servers down at the same time, and closes the connections of
// clients that are late.
//
// [http.Server.Shutdown] waits for every request, and for a body that the handler did
// not read. One client that stops halfway makes it wait until the context ends, and
// then fail. Shutdown therefore waits for three quarters of the time until the
// context's deadline, or until a context without deadline ends. Then it closes the
// remaining connections and logs a warning. That is not an error. It returns an error
// only if a server cannot be shut down or closed for another reason.
//
// Call the registry's Shutdown first, see the package's documentation.
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
