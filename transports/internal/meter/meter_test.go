package meter_test

import (
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/internal/meter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestCount counts each answer once, by the status that the client gets.
func TestCount(t *testing.T) {
	for name, c := range map[string]struct {
		handler echo.HandlerFunc
		status  int // 0: none is counted
	}{
		"answered":          {func(c echo.Context) error { return c.NoContent(http.StatusNotModified) }, 304},
		"failed afterwards": {func(c echo.Context) error { _ = c.NoContent(200); return errors.New("the client has gone") }, 200},
		"refused by echo":   {func(echo.Context) error { return echo.ErrForbidden }, 403},
		"failed":            {func(echo.Context) error { return errors.New("no") }, 500},
		"panicked":          {func(echo.Context) error { panic("no") }, 500},
		"taken over":        {func(echo.Context) error { return nil }, 0},
		"an odd status":     {func(c echo.Context) error { return c.NoContent(999) }, 500},
	} {
		var m meter.Meter
		e := echo.New()
		ctx := e.NewContext(httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder())
		func() {
			defer func() { _ = recover() }()
			_ = m.Count(c.handler)(ctx)
		}()
		got := m.Status().Responses
		if c.status == 0 && len(got) == 0 || len(got) == 1 && got[c.status] == 1 {
			continue
		}
		t.Errorf("%s: counted %v, want one %d", name, got, c.status)
	}
}

// TestCountEarly counts a stream when it begins.
func TestCountEarly(t *testing.T) {
	var m meter.Meter
	e := echo.New()
	ctx := e.NewContext(httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder())
	_ = m.CountEarly(func(c echo.Context) error {
		c.Response().WriteHeader(http.StatusOK)
		if got := m.Status().Responses; got[200] != 1 {
			t.Errorf("counted %v while the stream is open", got)
		}
		return nil
	})(ctx)
	if got := m.Status().Responses; len(got) != 1 || got[200] != 1 {
		t.Errorf("counted %v in the end", got)
	}
}

// TestDue tells first events from later ones, and changes from syncs.
func TestDue(t *testing.T) {
	var m meter.Meter
	at := time.Now()
	for _, c := range []struct {
		e     *live.Event
		first bool
		due   bool
	}{
		{&live.Event{Kind: live.Synced, Reported: at}, true, false},
		{&live.Event{Kind: live.Changed, Reported: at}, true, false},
		{&live.Event{Kind: live.Confirmed}, true, false},
		{&live.Event{Kind: live.Synced}, false, false},
		{&live.Event{Kind: live.Changed, Reported: at, Merged: true}, false, true},
		{&live.Event{Kind: live.Changed, Reported: at}, false, true},
		{&live.Event{Kind: live.Changed}, false, false},
	} {
		if due := m.Due(nil, c.e, c.first); due.IsZero() == c.due {
			t.Errorf("kind %v, first %v: due %v", c.e.Kind, c.first, due)
		}
	}
	if st := m.Status(); st.Synced != 1 || st.Resumed != 2 || st.Resynced != 1 || st.Lagged != 1 {
		t.Errorf("%+v", st)
	}
}

// TestDelivered puts each delay into the bucket that holds it.
func TestDelivered(t *testing.T) {
	var m meter.Meter
	m.Delivered(meter.Delivery{})
	if n := m.Status().Delay.Count(); n != 0 {
		t.Fatalf("the zero time counts %d", n)
	}
	m.Delivered(m.Due(nil, &live.Event{Kind: live.Changed, Reported: time.Now().Add(time.Hour)}, false)) // a clock that was set
	m.Delivered(m.Due(nil, &live.Event{Kind: live.Changed, Reported: time.Now().Add(-90 * time.Second)}, false))
	m.Delivered(m.Due(nil, &live.Event{Kind: live.Changed, Reported: time.Now().Add(-20 * time.Second)}, false))
	h := m.Status().Delay
	n := len(h.Bounds)
	if len(h.Counts) != n+1 || h.Counts[0] != 1 || h.Counts[n] != 1 || h.Counts[n-1] != 1 {
		t.Errorf("%+v", h)
	}
	if h.Quantile(0) != h.Bounds[0] || h.Quantile(0.5) != time.Minute || h.Quantile(1) != math.MaxInt64 {
		t.Errorf("quantiles %v %v %v", h.Quantile(0), h.Quantile(0.5), h.Quantile(1))
	}
	if h.Sum < 110*time.Second {
		t.Errorf("the sum is %v", h.Sum)
	}
}

// BenchmarkDelivered is what a delivery pays.
func BenchmarkDelivered(b *testing.B) {
	var m meter.Meter
	e := &live.Event{Kind: live.Changed, Reported: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		m.Delivered(m.Due(nil, e, false))
	}
}
