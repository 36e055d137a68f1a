package notmodified

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/rest/internal/access"
	"github.com/binderyhq/bindery/transports/rest/internal/exchange"
)

// Granted returns the first grant for the binding that Conditions.Open has opened for
// the request with this context, or nil.
func Granted(ctx context.Context, binding string) *core.Grant {
	grants, _ := ctx.Value(grantsKey{}).([]*core.Grant)
	for _, g := range grants {
		if g.View().Name() == binding {
			return g
		}
	}
	return nil
}

type grantsKey struct{}

// errNoGrant reports an Open that returns a nil grant without an error.
var errNoGrant = errors.New("rest: Conditions.Open returned a nil grant")

// openAll calls Open, waits for the rows of members that have come alive just now,
// and pins all versions.
func (p *page) openAll(r *http.Request) error {
	var err error
	for range 1 + access.Reopenings {
		var grants []*core.Grant
		grants, err = p.h.open(r)
		for _, g := range grants {
			switch {
			case g != nil:
				p.grants = append(p.grants, g)
			case err == nil:
				err = errNoGrant
			}
		}
		if err != nil {
			return err
		}
		p.await(r.Context())
		own := p.h.views
		p.views = append(own[:len(own):len(own)], viewsOf(p.grants)...)
		p.pin(r.Context())
		// Rights are checked after the pin, so the versions that it pins may be shown.
		if err = p.fresh(); err == nil {
			return nil
		}
		p.close()
	}
	return err
}

// await waits until the bindings of all grants have loaded, within a bound.
func (p *page) await(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.h.loadWait)
	defer cancel()
	for _, v := range viewsOf(p.grants) {
		select {
		case <-v.Loaded():
		case <-v.Done():
		case <-ctx.Done():
			return
		}
	}
}

// fresh returns an error if the authorizer has to be asked again.
func (p *page) fresh() error {
	for _, g := range p.grants {
		if _, err := g.Snapshot(); err != nil {
			return err
		}
	}
	return nil
}

// close gives the grants back.
func (p *page) close() {
	for _, g := range p.grants {
		g.Close()
	}
	p.grants = nil
}

func viewsOf(grants []*core.Grant) []*live.View {
	views := make([]*live.View, len(grants))
	for i, g := range grants {
		views[i] = g.View()
	}
	return views
}

// refuseOpen is the default of Conditions.Refuse.
func refuseOpen(w http.ResponseWriter, r *http.Request, err error) {
	name := ""
	var denied *core.DeniedError
	if errors.As(err, &denied) {
		name = denied.Access.Binding
	}
	p, told := problem.Of(name, err)
	if !told && r.Context().Err() == nil {
		slog.ErrorContext(r.Context(), "rest: opening the bindings of a page failed", slog.String("id", "rest-page-failed"), slog.String("path", r.URL.Path), slog.Any("err", err))
	}
	w.Header()["Cache-Control"] = exchange.NoStore
	_ = p.Write(w, r)
}
