package access

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/transports/rest/internal/exchange"
	"github.com/binderyhq/bindery/transports/rest/internal/resttest"
)

// An opener's problems have the status that the reason has, and no grant stays open.
func TestOpen(t *testing.T) {
	decide := core.AuthorizerFunc(func(_ context.Context, a core.Access) (core.Decision, error) {
		switch a.Binding {
		case "records":
			return core.Deny(), nil
		case "open":
			return core.Decision{}, errors.New("the directory is away")
		}
		return core.Allow(), nil
	})
	s := resttest.NewStore(t, decide, nil)
	o := &Opener{Registry: s.Reg, LoadWait: time.Minute, Stopping: t.Context()}
	for _, c := range []struct {
		binding string
		args    core.Args
		status  int // 0 if it is opened
	}{
		{"of", core.Args{"owner": "ann"}, 0},
		{"of", nil, 400},
		{"records", nil, 403},
		{"open", nil, 503},
		{"nothing", nil, 404},
	} {
		x := &exchange.Exchange{W: httptest.NewRecorder(), R: httptest.NewRequest("GET", "/", nil).WithContext(t.Context())}
		p := o.Open(x, c.binding, c.args)
		if p == nil {
			if x.View.Snapshot() == nil {
				t.Errorf("%s has not loaded", c.binding)
			}
			x.Grant.Close()
		}
		if (p == nil) != (c.status == 0) || p != nil && p.Status != c.status {
			t.Errorf("%s: %v", c.binding, p)
		}
	}
	for _, f := range s.Reg.Status().Families {
		if f.InUse != 0 {
			t.Errorf("%d members are still in use", f.InUse)
		}
	}
}

// A member that cannot load holds its request no longer than it may, nor than the
// transport lives.
func TestOpenDoesNotWaitForever(t *testing.T) {
	s := resttest.NewStore(t, nil, nil)
	release := s.Table.Hold()
	defer release()
	stopping, stop := context.WithCancel(t.Context())
	stop()
	for name, o := range map[string]*Opener{
		"bound":    {Registry: s.Reg, LoadWait: time.Nanosecond, Stopping: t.Context()},
		"none":     {Registry: s.Reg, LoadWait: -1, Stopping: t.Context()},
		"stopping": {Registry: s.Reg, LoadWait: time.Hour, Stopping: stopping},
	} {
		x := &exchange.Exchange{R: httptest.NewRequest("GET", "/", nil).WithContext(t.Context())}
		if p := o.Open(x, "of", core.Args{"owner": "bob"}); p != nil {
			t.Errorf("%s: %v", name, p)
			continue
		}
		if x.View.Snapshot() != nil {
			t.Errorf("%s: it has loaded", name)
		}
		x.Grant.Close()
	}
}
