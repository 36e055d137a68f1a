package audit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// Feed is the feed that an auditor compares.
type Feed interface {
	// Open opens a snapshot of the database between two batches of the feed, for the
	// tickets.
	Open(ctx context.Context, tickets []*Ticket) (Pass, error)

	// Audited is called with the outcome of each attempt. After a failed one, again says
	// that the feed has removed the cause, so that the next attempt need not wait.
	Audited(ctx context.Context, out Outcome) (again bool)
}

// Pass is an open snapshot. It knows what the feed has read since.
type Pass interface {
	// Readings returns the sets of rows to compare.
	Readings() []Reading

	// Superseded reports whether the feed has read the whole table since the
	// snapshot was opened, so that a comparison has nothing left to find.
	Superseded() bool

	// Blocks returns an error if the snapshot seems to block the feed: a statement that
	// alters the table waits for the snapshot, and all later reads wait for that
	// statement.
	Blocks() error

	// Publish has the feed publish the rows in one batch, without those that it has
	// read since, and returns when they show.
	Publish(ctx context.Context, r Reading, rows []Row) error

	// Reread has the feed read the keys anew.
	Reread(keys []driver.Key)

	// Close ends the pass and its snapshot.
	Close()
}

// Outcome is the outcome of an attempt to compare.
type Outcome struct {
	Rows    uint64 // rows compared
	Found   uint64 // rows that differed
	Parts   uint64 // batches needed to publish them, beyond the first of each reading
	Tickets []*Ticket
	Err     error // why it will be retried; nil: it succeeded
	// Failed is the reading whose statement has failed, or was not answered in time. It is
	// nil when the attempt failed for another reason.
	Failed Reading
}

// Config tunes an auditor. All fields are required.
type Config struct {
	// MaxRows bounds the differing rows published in one batch.
	MaxRows int
	// Stall bounds the time that the database may take to answer.
	Stall time.Duration
	// Limiter bounds the share of time. All auditors of one database share it.
	Limiter *Limiter
	// MinWait and MaxWait bound the wait after a failure.
	MinWait, MaxWait time.Duration
}

// Auditor compares the rows of one feed when it is asked to. Its methods may be
// called from any goroutine.
type Auditor struct {
	feed Feed
	cfg  Config
	wake chan struct{} // capacity 1

	mu      sync.Mutex // guards what follows
	waiting []*Ticket
	running []*Ticket // of the attempt under way
	ended   error     // why tickets are refused; nil: they are taken
}

// New returns an auditor. It does nothing before Run.
func New(feed Feed, cfg Config) *Auditor {
	return &Auditor{feed: feed, cfg: cfg, wake: make(chan struct{}, 1)}
}

// Request hands in a ticket and returns the one to wait for: that of a waiting
// ticket of the same kind if there is one, which bounds the queue. The comparison
// opens its snapshot after the call.
func (a *Auditor) Request(t *Ticket) *Ticket {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended != nil {
		t.finish(a.ended)
		return t
	}
	for _, o := range a.waiting {
		if t.Kind != nil && o.Kind == t.Kind {
			return o
		}
	}
	a.waiting = append(a.waiting, t)
	select {
	case a.wake <- struct{}{}:
	default:
	}
	return t
}

// Open returns the tickets whose comparison has not ended yet.
func (a *Auditor) Open() []*Ticket {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append(slices.Clone(a.running), a.waiting...)
}

// Run makes the requested comparisons until ctx is done. Tickets that wait then,
// or come later, end with the error ended.
func (a *Auditor) Run(ctx context.Context, ended error) {
	defer a.end(ended)
	wait := a.cfg.MinWait
	for {
		select {
		case <-a.wake:
		case <-ctx.Done():
			return
		}
		for tickets := a.take(); len(tickets) > 0; tickets = a.take() {
			out := a.attempt(ctx, tickets)
			if ctx.Err() != nil {
				for _, t := range tickets {
					t.finish(ended)
				}
				return
			}
			again := a.feed.Audited(ctx, out)
			if out.Err == nil {
				for _, t := range tickets {
					t.finish(nil)
				}
				wait = a.cfg.MinWait
				continue
			}
			a.putBack(tickets)
			if again {
				continue
			}
			timer := time.NewTimer(wait/2 + rand.N(wait/2+1))
			wait = min(2*wait, a.cfg.MaxWait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return
			}
		}
	}
}

func (a *Auditor) take() []*Ticket {
	a.mu.Lock()
	defer a.mu.Unlock()
	tickets := a.waiting
	a.waiting, a.running = nil, tickets
	return tickets
}

func (a *Auditor) putBack(tickets []*Ticket) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting, a.running = append(tickets, a.waiting...), nil
}

func (a *Auditor) end(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = err
	for _, t := range a.waiting {
		t.finish(err)
	}
	a.waiting = nil
}

// attempt makes one comparison. It returns a panic, of a loader's code, as an error.
func (a *Auditor) attempt(ctx context.Context, tickets []*Ticket) (out Outcome) {
	out.Tickets = tickets
	var reading Reading
	defer func() {
		if p := recover(); p != nil {
			out.Err, out.Failed = fmt.Errorf("panic: %v\n%s", p, debug.Stack()), reading
		}
	}()
	if out.Err = a.cfg.Limiter.Acquire(ctx); out.Err != nil {
		return out
	}
	defer a.cfg.Limiter.Release()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(a.cfg.Stall, func() { cancel(fmt.Errorf("no answer within %v", a.cfg.Stall)) })
	defer stall.Stop()

	pass, err := a.feed.Open(ctx, tickets)
	if err != nil {
		out.Err = because(ctx, err)
		return out
	}
	defer pass.Close()
	for _, r := range pass.Readings() {
		reading = r
		if own, err := a.compare(ctx, pass, r, stall, &out); err != nil {
			if pass.Superseded() {
				return out
			}
			out.Err = because(ctx, err)
			if own {
				out.Failed = r
			}
			return out
		}
	}
	return out
}

// errSuperseded ends a comparison that has nothing left to find.
var errSuperseded = errors.New("everything has been read since")

// compare compares one reading, and publishes what differs. own says that the error is the
// reading's own, and not the pass's or the feed's.
func (a *Auditor) compare(ctx context.Context, pass Pass, r Reading, stall *time.Timer, out *Outcome) (own bool, err error) {
	var rows []Row
	var doubtful []driver.Key
	at := make(map[driver.Key]int) // in rows
	parts := uint64(0)
	flush := func() error {
		if len(doubtful) > 0 {
			pass.Reread(doubtful)
			doubtful = nil
		}
		if len(rows) == 0 {
			return nil
		}
		if parts++; parts > 1 {
			out.Parts++
		}
		out.Found += uint64(len(rows))
		stall.Stop() // it waits for the feed, not for the database
		err := pass.Publish(ctx, r, rows)
		stall.Reset(a.cfg.Stall)
		rows = nil
		clear(at)
		return err
	}
	own = true
	begun := time.Now()
	c := comparison{
		reading: r,
		rest: func(ctx context.Context) error {
			if pass.Superseded() {
				own = false
				return errSuperseded
			}
			if err := pass.Blocks(); err != nil {
				own = false
				return err
			}
			stall.Stop()
			if err := a.cfg.Limiter.Rest(ctx, time.Since(begun)); err != nil {
				own = false
				return err
			}
			stall.Reset(a.cfg.Stall)
			begun = time.Now()
			return nil
		},
		found: func(row Row) error {
			if i, ok := at[row.Key]; ok {
				rows[i] = row
				return nil
			}
			if len(rows) == a.cfg.MaxRows {
				if err := flush(); err != nil {
					own = false
					return err
				}
			}
			at[row.Key] = len(rows)
			rows = append(rows, row)
			return nil
		},
		doubtful: func(key driver.Key) error {
			if doubtful = append(doubtful, key); len(doubtful) == findKeys {
				pass.Reread(doubtful)
				doubtful = nil
			}
			return nil
		},
	}
	err = c.run(ctx)
	out.Rows += c.rows
	if err != nil {
		return own, err
	}
	return false, flush()
}

// because returns the cause for which the context ended, or err if it has not
// ended.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
