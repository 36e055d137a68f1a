package serving

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options is a configuration whose field must not be negative.
type options struct{ N int }

func (o options) WithDefaults() options {
	if o.N == 0 {
		o.N = 7
	}
	return o
}

func (o options) Validate() error {
	if o.N < 0 {
		return errors.New("config: N is negative")
	}
	return nil
}

// Everything that is wrong is told at once, and the defaults are there all the same.
func TestConfig(t *testing.T) {
	group := echo.New().Group("/x")
	for _, c := range []struct {
		group *echo.Group
		given []options
		n     int
		wrong []string
	}{
		{group, nil, 7, nil},
		{group, []options{{3}}, 3, nil},
		{group, []options{{-3}}, -3, []string{"N is negative"}},
		{group, []options{{3}, {4}}, 3, []string{"more than one configuration"}},
		{nil, []options{{-3}, {4}}, -3, []string{"group is nil", "more than one configuration", "N is negative"}},
	} {
		cfg, err := Config(c.group, c.given)
		if cfg.N != c.n || (err == nil) != (c.wrong == nil) {
			t.Errorf("%v: %v, %v", c.given, cfg, err)
		}
		for _, part := range c.wrong {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v: %v does not say %q", c.given, err, part)
			}
		}
	}
}

// member is a connection that ends when it is told to, unless it is stuck.
type member struct {
	of    *Connections[*member]
	stuck bool
	ended chan string
}

func (m *member) end(how string) {
	select {
	case m.ended <- how:
		m.of.Leave(m)
	default:
	}
}

func newConnections(t *testing.T, max int, patience time.Duration) (*Connections[*member], *core.Registry) {
	t.Helper()
	o := NewConnections(Kind[*member]{
		Transport: "fake", Noun: "members", Max: max, DrainTimeout: patience,
		Stop: func(m *member) {
			if !m.stuck {
				m.end("stopped")
			}
		},
		Cut: func(m *member) { m.end("cut") },
	})
	reg := core.NewRegistry()
	o.Mount(reg)
	return o, reg
}

// Those who end by themselves are left to, and the others are cut.
func TestShutdown(t *testing.T) {
	o, _ := newConnections(t, -1, time.Millisecond)
	members := []*member{{of: o, ended: make(chan string, 1)}, {of: o, stuck: true, ended: make(chan string, 1)}}
	for _, m := range members {
		if p := o.Admit(m); p != nil {
			t.Fatal(p)
		}
	}
	if err := o.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if first, second := <-members[0].ended, <-members[1].ended; first != "stopped" || second != "cut" {
		t.Errorf("%s, %s", first, second)
	}
	if p := o.Admit(&member{of: o}); p == nil || p.Status != 503 {
		t.Errorf("admitted after the shutdown: %v", p)
	}
}

// A shutdown whose time is over says what it has waited for.
func TestShutdownHonoursItsContext(t *testing.T) {
	o, _ := newConnections(t, -1, time.Hour)
	stuck := &member{of: o, stuck: true} // and cannot be cut: nobody takes its end
	if p := o.Admit(stuck); p != nil {
		t.Fatal(p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.Shutdown(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "fake: waiting for members") {
		t.Errorf("%v", err)
	}
	o.Leave(stuck)
}

func TestAdmit(t *testing.T) {
	o, reg := newConnections(t, 1, 0)
	m := &member{of: o}
	if p := o.Admit(m); p != nil {
		t.Fatal(p)
	}
	if p := o.Admit(&member{of: o}); p == nil || p.Status != 503 || !strings.Contains(p.Detail, "too many members") {
		t.Errorf("%v", p)
	}
	st := status.Transport{}
	if o.Report(&st); st.Open != 1 || st.Refused != 1 {
		t.Errorf("%+v", st)
	}
	o.Leave(m)
	if err := reg.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := o.Admit(m); p == nil || p.Status != 503 {
		t.Errorf("admitted while the registry stops: %v", p)
	}
	if o.Report(&st); st.Open != 0 {
		t.Errorf("%+v", st)
	}
}
