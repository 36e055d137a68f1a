package clienttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
)

const binding = "products"

// rig holds the server and client of one case, and the states that the client has
// shown.
type rig struct {
	ctx    context.Context
	h      Harness
	tr     Transport
	server *server
	client Client
	member map[string]string // the member that is followed; nil for the binding itself

	cur  *join  // the request that gets the messages
	told string // the version that the client was told last

	known map[string]version // by token

	mu     sync.Mutex // guards what follows
	states []State
	news   chan struct{} // closed at the next state
}

func newRig(ctx context.Context, h Harness, tr Transport) (*rig, error) {
	s, err := serve()
	if err != nil {
		return nil, err
	}
	return &rig{ctx: ctx, h: h, tr: tr, server: s, known: map[string]version{}, news: make(chan struct{})}, nil
}

// open opens the client.
func (r *rig) open() error {
	c, err := r.h.Open(r.ctx, Follow{
		Base: "http://" + r.server.addr + "/", Transport: r.tr, Binding: binding, Params: r.member, Key: []string{"id"},
	}, r.note)
	if err != nil {
		return fmt.Errorf("opening the client: %w", err)
	}
	r.client = c
	return nil
}

func (r *rig) note(s State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.states = append(r.states, s)
	close(r.news)
	r.news = make(chan struct{})
}

// end closes the client, and compares every state that it showed with its version.
func (r *rig) end() error {
	var errs []error
	if r.client != nil {
		errs = append(errs, r.client.Close())
	}
	r.server.end()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.states {
		v, known := r.known[s.Version]
		switch {
		case s.Version == "" && len(s.Rows) > 0:
			errs = append(errs, fmt.Errorf("the client showed rows without a version: %s", text(s.Rows)))
		case s.Version == "":
		case !known:
			errs = append(errs, fmt.Errorf("the client showed version %q, which the server never had, with %s", s.Version, text(s.Rows)))
		default:
			if err := v.is(s); err != nil {
				errs = append(errs, err)
			}
		}
		if len(errs) > 3 {
			break
		}
	}
	return errors.Join(errs...)
}

// is returns an error that says how the shown state differs from the version.
func (v version) is(s State) error {
	var want, got []any
	if err := json.Unmarshal([]byte(text(v.rows)), &want); err != nil {
		return err
	}
	for _, raw := range s.Rows {
		var r any
		if err := json.Unmarshal(raw, &r); err != nil {
			return fmt.Errorf("the client showed a row that is no JSON: %s", raw)
		}
		got = append(got, r)
	}
	if len(want)+len(got) > 0 && !reflect.DeepEqual(want, got) {
		return fmt.Errorf("at version %s the client showed %s, the server had %s", v.token, text(got), text(v.rows))
	}
	return nil
}

// has registers a version that the client may show.
func (r *rig) has(token string, rows ...row) version {
	v := version{token, rows}
	r.known[token] = v
	return v
}

// await waits until the last state shown satisfies the condition.
func (r *rig) await(what string, ok func(State) bool) (State, error) {
	for {
		r.mu.Lock()
		news := r.news
		var last State
		if n := len(r.states); n > 0 {
			last = r.states[n-1]
		}
		r.mu.Unlock()
		if ok(last) {
			return last, nil
		}
		select {
		case <-news:
		case <-r.ctx.Done():
			return last, fmt.Errorf("never: %s; the client shows %s", what, text(last))
		}
	}
}

// shows waits until the client shows the version as current.
func (r *rig) shows(v version) error {
	s, err := r.await("version "+v.token+", live", func(s State) bool { return s.Version == v.token && s.Status == Live })
	if err != nil {
		return err
	}
	return v.is(s)
}

// still reports whether the client shows the version now. States shown later are
// compared with their versions at the end, like all others.
func (r *rig) still(v version) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.states); n == 0 || r.states[n-1].Version != v.token {
		return fmt.Errorf("the client should still show version %s", v.token)
	}
	return nil
}

// join waits for the client's next request to follow the binding.
func (r *rig) join() (*join, error) {
	for {
		select {
		case j := <-r.server.joins:
			if j.binding != binding {
				return nil, fmt.Errorf("the client asked for %q, it was to follow %q", j.binding, binding)
			}
			if !reflect.DeepEqual(j.params, nonNil(r.member)) {
				return nil, fmt.Errorf("the client asked for the member %v, it was to follow %v", j.params, r.member)
			}
			if _, known := r.known[j.version]; !known {
				// Some poll clients always name a version, others none. Neither is an
				// error.
				if r.tr != Poll && j.version != "" {
					return nil, fmt.Errorf("the client resumes from %q, which the server never had", j.version)
				}
				j.version = ""
			}
			r.cur = j
			return j, nil
		case <-r.ctx.Done():
			return nil, errors.New("the client does not ask for the binding")
		}
	}
}

func nonNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// joinFrom waits for a request that names the version, or none if token is "".
func (r *rig) joinFrom(token string) error {
	j, err := r.join()
	if err != nil {
		return err
	}
	if j.version != token {
		return fmt.Errorf("the client asked for what came since %q, it should since %q", j.version, token)
	}
	return nil
}

// tell sends a batch. Over polls it first waits for the next request.
func (r *rig) tell(list []message) error {
	if err := r.ready(); err != nil {
		return err
	}
	err := r.cur.link.send(list)
	r.sent(list)
	return err
}

// ready waits for a request to answer, if there is none.
func (r *rig) ready() error {
	if r.cur != nil {
		return nil
	}
	if r.tr != Poll || r.told == "" {
		_, err := r.join()
		return err
	}
	return r.joinFrom(r.told)
}

func (r *rig) sent(list []message) {
	if n := len(list); n > 0 {
		if v, ok := list[n-1]["version"].(string); ok {
			r.told = v
		}
	}
	if r.tr == Poll {
		r.cur = nil
	}
}

// begin opens the client and brings it to the version by a sync.
func (r *rig) begin(v version, order ...string) error {
	if err := r.open(); err != nil {
		return err
	}
	if err := r.joinFrom(""); err != nil {
		return err
	}
	if err := r.tell(v.sync(1_000, order...)); err != nil {
		return err
	}
	return r.shows(v)
}

// cut breaks the current connection, and waits until the client notices.
func (r *rig) cut() error {
	if err := r.ready(); err != nil {
		return err
	}
	r.cur.link.cut()
	r.cur = nil
	return nil
}

// steps runs the functions one after the other, until one fails.
func steps(list ...func() error) error {
	for i, step := range list {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

// converge answers every request with a sync until the client shows the version.
func (r *rig) converge(v version) error {
	for {
		r.mu.Lock()
		news := r.news
		n := len(r.states)
		shown := n > 0 && r.states[n-1].Version == v.token && r.states[n-1].Status == Live
		r.mu.Unlock()
		if shown {
			return nil
		}
		select {
		case j := <-r.server.joins:
			list := v.sync(2, "id")
			if j.version == v.token {
				list = v.ok()
			}
			_ = j.link.send(list) // if that connection is over, another request follows
		case <-news:
		case <-r.ctx.Done():
			return fmt.Errorf("the client never shows version %s", v.token)
		}
	}
}

// Shorter names for steps.

func (r *rig) doOpen() func() error                 { return r.open }
func (r *rig) doTell(list []message) func() error   { return func() error { return r.tell(list) } }
func (r *rig) doShow(v version) func() error        { return func() error { return r.shows(v) } }
func (r *rig) doStill(v version) func() error       { return func() error { return r.still(v) } }
func (r *rig) doJoinFrom(token string) func() error { return func() error { return r.joinFrom(token) } }
func (r *rig) doCut() func() error                  { return r.cut }
func (r *rig) doBegin(v version, order ...string) func() error {
	return func() error { return r.begin(v, order...) }
}

// doHalf sends the first messages of a batch and leaves out the rest.
func (r *rig) doHalf(list []message) func() error {
	return func() error {
		if err := r.ready(); err != nil {
			return err
		}
		return r.cur.link.half(list)
	}
}

// doRefuse refuses every request from now on; nil ends that.
func (r *rig) doRefuse(p *problem) func() error {
	return func() error {
		r.server.refuse(p)
		return nil
	}
}

// doCatchUp answers the next request with the change from its version, whichever that
// is. The client must then reach v.
func (r *rig) doCatchUp(v version, order ...string) func() error {
	return func() error {
		j, err := r.join()
		if err != nil {
			return err
		}
		list := v.sync(3, order...)
		if j.version == v.token {
			list = v.ok()
		}
		if err := r.tell(list); err != nil {
			return err
		}
		return r.shows(v)
	}
}
