package audit

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// feed is a feed whose passes are scripted.
type feed struct {
	reading    Reading
	away       atomic.Bool // Open fails
	opened     int
	closed     int
	published  [][]Row
	reread     []driver.Key
	outcomes   []Outcome
	again      func(Outcome) bool
	superseded func() bool
	blocks     func() error
}

func (f *feed) Open(context.Context, []*Ticket) (Pass, error) {
	f.opened++
	if f.away.Load() {
		return nil, errors.New("away")
	}
	return f, nil
}

func (f *feed) Audited(_ context.Context, o Outcome) bool {
	f.outcomes = append(f.outcomes, o)
	return f.again != nil && f.again(o)
}
func (f *feed) Readings() []Reading { return []Reading{f.reading} }
func (f *feed) Superseded() bool    { return f.superseded != nil && f.superseded() }
func (f *feed) Blocks() error {
	if f.blocks == nil {
		return nil
	}
	return f.blocks()
}
func (f *feed) Reread(k []driver.Key) { f.reread = append(f.reread, k...) }
func (f *feed) Close()                { f.closed++ }
func (f *feed) Publish(_ context.Context, _ Reading, rows []Row) error {
	f.published = append(f.published, rows)
	return nil
}

var errEnded = errors.New("ended")

func start(t *testing.T, f *feed, cfg Config) *Auditor {
	t.Helper()
	if cfg.Limiter == nil {
		cfg.Limiter = NewLimiter(1, time.Hour, 1)
	}
	cfg.Stall, cfg.MinWait, cfg.MaxWait = time.Minute, time.Second, 4*time.Second
	if cfg.MaxRows == 0 {
		cfg.MaxRows = 1000
	}
	a := New(f, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); a.Run(ctx, errEnded) }()
	t.Cleanup(func() { cancel(); <-done })
	return a
}

func different(n int) *table {
	db := &table{rows: make(map[driver.Key]int), piece: 10, bindings: []*holding{{divisor: 1, rows: make(map[driver.Key]int)}}}
	for i := range n {
		db.rows[keyOf(i)] = i
	}
	return db
}

// TestAuditor: what waits shares one comparison, whatever differs is published in
// one batch up to a bound, and in more beyond it.
func TestAuditor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{reading: different(25)}
		a := start(t, f, Config{MaxRows: 10})
		tickets := []*Ticket{a.Request(NewTicket("a")), a.Request(NewTicket("a")), a.Request(NewTicket(nil))}
		for _, ticket := range tickets {
			if err := ticket.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if tickets[0] != tickets[1] || f.opened != 1 || f.closed != 1 {
			t.Errorf("%d comparisons were begun and %d ended", f.opened, f.closed)
		}
		sizes := []int{}
		for _, rows := range f.published {
			sizes = append(sizes, len(rows))
		}
		if len(sizes) != 3 || sizes[0] != 10 || sizes[1] != 10 || sizes[2] != 5 {
			t.Errorf("published %v rows", sizes)
		}
		if o := f.outcomes[0]; o.Rows != 25 || o.Found != 25 || o.Parts != 2 || o.Err != nil {
			t.Errorf("outcome %+v", o)
		}
	})
}

// TestAuditorTriesAgain: after a failure it waits ever longer; who waits goes on
// waiting.
func TestAuditorTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{reading: different(1)}
		f.away.Store(true)
		a := start(t, f, Config{})
		ticket := a.Request(NewTicket("a"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(f.outcomes); n < 15 || n > 40 {
			t.Errorf("%d attempts in a minute", n)
		}
		select {
		case <-ticket.Done():
			t.Error("done without a comparison")
		default:
		}
		f.away.Store(false)
		if err := ticket.Wait(t.Context()); err != nil || len(f.published) != 1 {
			t.Errorf("%v, published %v", err, f.published)
		}
	})
}

// TestAuditorPanics: a loader that panics fails the attempt.
func TestAuditorPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{} // without a reading
		a := start(t, f, Config{})
		a.Request(NewTicket("a"))
		synctest.Wait()
		if len(f.outcomes) != 1 || f.outcomes[0].Err == nil || f.closed != 1 {
			t.Errorf("outcomes %+v, closed %d", f.outcomes, f.closed)
		}
	})
}

// TestAuditorEnds: whoever waits is told why there will be no comparison.
func TestAuditorEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		f.away.Store(true)
		a := New(f, Config{Limiter: NewLimiter(1, time.Hour, 1), MaxRows: 1, Stall: time.Minute, MinWait: time.Hour, MaxWait: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		early := a.Request(NewTicket(nil))
		go func() { synctest.Wait(); cancel() }()
		a.Run(ctx, errEnded)
		for _, ticket := range []*Ticket{early, a.Request(NewTicket(nil))} {
			if err := ticket.Wait(t.Context()); !errors.Is(err, errEnded) {
				t.Error(err)
			}
		}
	})
}

// TestSuperseded: a comparison ends when the feed has read everything since.
func TestSuperseded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{reading: different(100), superseded: func() bool { return true }}
		a := start(t, f, Config{})
		if err := a.Request(NewTicket("a")).Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if o := f.outcomes[0]; o.Rows != 10 || len(f.published) > 0 {
			t.Errorf("outcome %+v, published %v", o, f.published)
		}
	})
}

// TestBlocks: a comparison whose snapshot is in the feed's way gives it back, and begins
// anew.
func TestBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inTheWay := errors.New("in the way")
		f := &feed{reading: different(100)}
		f.blocks = func() error {
			if f.opened == 1 {
				return inTheWay
			}
			return nil
		}
		a := start(t, f, Config{})
		if err := a.Request(NewTicket(nil)).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f.opened != 2 || f.closed != 2 || len(f.outcomes) != 2 || !errors.Is(f.outcomes[0].Err, inTheWay) {
			t.Errorf("opened %d times, closed %d times, outcomes %v", f.opened, f.closed, f.outcomes)
		}
	})
}

// TestShare: audits work a share of the time, after a burst, together.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(0.25, time.Second, 2)
		begun := time.Now()
		worked := time.Duration(0)
		done := make(chan time.Duration)
		for range 2 {
			go func() {
				mine := time.Duration(0)
				for time.Since(begun) < 100*time.Second {
					time.Sleep(10 * time.Millisecond) // the work
					mine += 10 * time.Millisecond
					if err := l.Rest(t.Context(), 10*time.Millisecond); err != nil {
						t.Error(err)
					}
				}
				done <- mine
			}()
		}
		worked = <-done + <-done
		if worked < 20*time.Second || worked > 27*time.Second {
			t.Errorf("worked %v of 100s, want a quarter", worked)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Rest(ctx, time.Hour); err == nil {
			t.Error("a rest outlasts its context")
		}
	})
}

// TestSlots: so many audits at a time, and no more.
func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1, time.Second, 1)
		if err := l.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		l.Release()
		if err := l.Acquire(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// failing is a reading whose statement fails.
type failing struct{ *table }

var errStatement = errors.New("no such column")

func (failing) Scan(context.Context, func([]Row) error) ([]driver.Key, error) {
	return nil, errStatement
}

// TestAuditorNamesWhatFails: the outcome names the reading whose statement has failed or
// panicked, and no reading if the feed did. The feed can have the comparison begin again at
// once.
func TestAuditorNamesWhatFails(t *testing.T) {
	for name, c := range map[string]struct {
		reading Reading
		blocks  func() error
		named   bool
	}{
		"a statement": {reading: failing{different(1)}, named: true},
		"a panic":     {reading: failing{nil}, named: true},
		"the feed":    {reading: different(1), blocks: func() error { return errors.New("blocked") }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad, begun := c.reading, time.Now()
				f := &feed{reading: bad, blocks: c.blocks}
				f.again = func(o Outcome) bool {
					if o.Err == nil {
						return false
					}
					if named := o.Failed == bad; named != c.named {
						t.Errorf("the outcome names the reading: %v (%v)", named, o.Err)
					}
					f.reading, f.blocks = different(0), nil
					return true
				}
				a := start(t, f, Config{})
				if err := a.Request(NewTicket("a")).Wait(t.Context()); err != nil {
					t.Error(err)
				}
				if len(f.outcomes) != 2 || time.Since(begun) > 0 {
					t.Errorf("%d attempts in %v", len(f.outcomes), time.Since(begun))
				}
			})
		})
	}
}
