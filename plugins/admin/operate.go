package admin

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// verbs are the operations, from light to heavy.
var verbs = []string{"bump", "clear", "sync", "verify"}

// atOnce bounds how many bindings are worked on at a time.
const atOnce = 4

// mostKeys bounds the keys that an answer lists for each kind of drift.
const mostKeys = 100

// moveTimeout bounds how long the answer to a bump waits for the date to move.
const moveTimeout = 3 * time.Second

// outcome is what an operation did to one binding.
type outcome struct {
	Name     string      `json:"name"`
	Params   live.Params `json:"params,omitempty"`
	Scope    string      `json:"scope,omitempty"`
	Rows     int         `json:"rows"`
	Version  string      `json:"version,omitempty"`
	Modified *time.Time  `json:"modified,omitempty"`
	// Changed says that the content differs from before.
	Changed bool `json:"changed"`
	// Pending says that the date has not moved yet, because a read of the table is under
	// way and takes long.
	Pending bool   `json:"pending,omitempty"`
	Drift   *drift `json:"drift,omitempty"`
	Error   string `json:"error,omitempty"`

	err error
}

// drift has counts, and the first keys of each kind.
type drift struct {
	counts
	MissingKeys []string `json:"missing_keys"`
	ExtraKeys   []string `json:"extra_keys"`
	ChangedKeys []string `json:"changed_keys"`
}

type counts struct {
	Missing int `json:"missing"`
	Extra   int `json:"extra"`
	Changed int `json:"changed"`
}

// done counts the results of an operation other than verify.
type done struct {
	Bindings int `json:"bindings"`
	Changed  int `json:"changed"`
}

// operate serves POST api/bindings/NAME/VERB. The body of the request is not read.
func (p *Plugin) operate(c echo.Context, name, verb string) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), p.cfg.Timeout)
	defer cancel()
	s, err := p.selectBy(name, c.QueryParams())
	if err != nil {
		return p.problemOf(name, err).write(c)
	}
	views, release, err := p.views(ctx, s)
	if err != nil {
		return p.problemOf(name, err).write(c)
	}
	defer release()
	outcomes := p.each(ctx, verb, views)
	p.reg.Logger().InfoContext(ctx, "admin: an operator acts", slog.String("id", "admin-action"), "verb", verb, "binding", name, "bindings", len(views), "remote", c.RealIP())
	if err := errors.Join(errorsOf(outcomes)...); err != nil {
		problem := *p.problemOf(name, err)
		if len(outcomes) > 1 {
			problem.Bindings = outcomes
		}
		return problem.write(c)
	}
	body := map[string]any{"bindings": list0(outcomes)}
	if verb == "verify" {
		var sum counts
		for _, o := range outcomes {
			sum.Missing += o.Drift.Missing
			sum.Extra += o.Drift.Extra
			sum.Changed += o.Drift.Changed
		}
		body[verb] = sum
	} else {
		sum := done{Bindings: len(outcomes)}
		for _, o := range outcomes {
			if o.Changed {
				sum.Changed++
			}
		}
		body[verb] = sum
	}
	return writeJSON(c, body)
}

// each carries out an operation on every binding, a few at a time.
func (p *Plugin) each(ctx context.Context, verb string, views []*live.View) []outcome {
	outcomes := make([]outcome, len(views))
	places := make(chan struct{}, atOnce)
	var working sync.WaitGroup
	for i, v := range views {
		places <- struct{}{}
		working.Go(func() {
			defer func() { <-places }()
			outcomes[i] = p.one(ctx, verb, v)
		})
	}
	working.Wait()
	return outcomes
}

func (p *Plugin) one(ctx context.Context, verb string, v *live.View) outcome {
	before := v.Version().Token
	var found *drift
	var err error
	pending := false
	switch verb {
	case "bump":
		pending, err = p.bump(ctx, v)
	case "clear":
		err = p.reg.Clear(ctx, v)
	case "sync":
		err = p.reg.Resync(ctx, v)
	case "verify":
		var drifts map[string]status.Drift
		if drifts, err = p.reg.Verify(ctx, v); err == nil {
			found = driftOf(drifts[v.ID()])
		}
	}
	st := p.reg.StatusOf(v)
	o := outcome{Name: v.Name(), Params: v.Params(), Scope: st.Scope, Rows: st.Rows, Version: st.Version.Token, Drift: found, Pending: pending, err: err}
	o.Changed = o.Version != before
	if o.Version != "" {
		o.Modified = &st.Version.Modified
	}
	if err != nil {
		o.Error = err.Error()
	}
	return o
}

// bump moves the date of the version, and waits until it shows. pending means that it does
// not in time.
func (p *Plugin) bump(ctx context.Context, v *live.View) (pending bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, moveTimeout)
	defer cancel()
	before := v.Version()
	sub := v.Subscribe(live.SubscribeOptions{Version: before.Token})
	defer sub.Close()
	if err := p.reg.Touch(v); err != nil {
		return false, err
	}
	for v.Version().Seq == before.Seq {
		switch _, err := sub.Next(ctx); {
		case ctx.Err() != nil:
			return true, nil
		case err != nil:
			return false, err
		}
	}
	return false, nil
}

func driftOf(d status.Drift) *drift {
	return &drift{
		counts:      counts{Missing: len(d.Missing), Extra: len(d.Extra), Changed: len(d.Different)},
		MissingKeys: texts(d.Missing), ExtraKeys: texts(d.Extra), ChangedKeys: texts(d.Different),
	}
}

func texts(keys []driver.Key) []string {
	out := make([]string, 0, min(len(keys), mostKeys))
	for _, k := range keys[:min(len(keys), mostKeys)] {
		out = append(out, k.String())
	}
	return out
}

func errorsOf(outcomes []outcome) (errs []error) {
	for _, o := range outcomes {
		if o.err != nil {
			errs = append(errs, o.err)
		}
	}
	return errs
}

// explain serves GET api/bindings/NAME/explain?key=…: the key as rows' URLs spell it.
func (p *Plugin) explain(c echo.Context, name string) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), p.cfg.Timeout)
	defer cancel()
	ex, err := p.explained(ctx, name, c.QueryParams())
	if err != nil {
		return p.problemOf(name, err).write(c)
	}
	return writeJSON(c, ex)
}

func (p *Plugin) explained(ctx context.Context, name string, query map[string][]string) (status.Explain, error) {
	if name == everything {
		return status.Explain{}, badParameter("explain is about one binding; there are: " + list(p.names()))
	}
	s, err := p.selectBy(name, query, "key")
	if err != nil {
		return status.Explain{}, err
	}
	if len(query["key"]) != 1 || query["key"][0] == "" {
		return status.Explain{}, badParameter(`say which row: key=… once, as the row's URL spells it (columns joined by commas)`)
	}
	var view *live.View
	if s.exact && s.scope != "" {
		views, release, err := p.views(ctx, s)
		if err != nil {
			return status.Explain{}, err
		}
		defer release()
		view = views[0]
	} else {
		held, release, err := p.hold(ctx, s)
		if err != nil {
			return status.Explain{}, err
		}
		defer release()
		view = held
	}
	key, err := keyOf(view.Schema(), query["key"][0])
	if err != nil {
		return status.Explain{}, badParameter("parameter \"key\" is no key: " + err.Error())
	}
	return p.reg.Explain(ctx, view, key)
}
