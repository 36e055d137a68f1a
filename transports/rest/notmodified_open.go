package rest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// Granted returns what [Conditions.Open] has opened of the binding for the request to
// whose context this belongs, the first where there are several, or nil.
//
//	orders, err := core.Read[Order](r.Context(), rest.Granted(r.Context(), "orders"))
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

// errNoGrant reports an Open that has opened nothing where it said so.
var errNoGrant = errors.New("rest: Conditions.Open returned a nil grant")

// openAll opens what the answer depends on, waits for rows of members that have come
// alive just now, and pins all of it.
func (p *page) openAll(r *http.Request) error {
	var err error
	for range 1 + maxReopenings {
		var grants []*core.Grant
		grants, err = p.k.open(r)
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
		own := p.k.views
		p.views = append(own[:len(own):len(own)], viewsOf(p.grants)...)
		p.pin(r.Context())
		// In this order: what is pinned by then may be shown.
		if err = p.fresh(); err == nil {
			return nil
		}
		p.close()
	}
	return err
}

// await waits until all grants have rows to show, but not for ever.
func (p *page) await(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, DefaultLoadWait)
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

// fresh returns an error when the authorizer is to be asked again.
func (p *page) fresh() error {
	for _, g := range p.grants {
		if _, err := g.Snapshot(); err != nil {
			return err
		}
	}
	return nil
}

// close gives back what was opened.
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

// refuseOpen is the default of [Conditions.Refuse].
func refuseOpen(w http.ResponseWriter, r *http.Request, err error) {
	name := ""
	var denied *core.DeniedError
	if errors.As(err, &denied) {
		name = denied.Access.Binding
	}
	p, told := problem.Of(name, err)
	if !told && r.Context().Err() == nil {
		slog.ErrorContext(r.Context(), "rest: what a page depends on could not be opened", slog.String("id", "rest-page-failed"), slog.String("path", r.URL.Path), slog.Any("err", err))
	}
	w.Header()["Cache-Control"] = noStore
	_ = p.Write(w, r)
}
