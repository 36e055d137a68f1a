package pgsource

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/ondemand"
	"github.com/binderyhq/bindery/sources/internal/rowlog"
	"github.com/jackc/pglogrepl"
)

// stream holds the commits that one session has received but not yet reported.
type stream struct {
	sink    driver.Sink
	maxKeys int

	routes    atomic.Pointer[routes]
	questions atomic.Uint64 // raised by relations that the routes do not know

	wake  chan struct{} // capacity 1: the audit is due
	pings chan struct{} // capacity 1: ask the server for its position
	asks  chan struct{} // capacity 1: ask which commits are visible
	ended chan struct{} // closed when the session is over

	looks    *ondemand.Run // at the log's position and the visible commits
	written  atomic.Uint64 // the position at the last look
	identity *identity     // nil: it is not known
	watched  chan struct{} // closed after Sink.Watching

	// reporting is held from the moment commits are taken out of pending until
	// they are reported. So a holder that finds pending empty knows that every
	// commit has been reported. It is taken before mu. The sink does not block.
	reporting sync.Mutex

	mu       sync.Mutex    // guards what follows
	received uint64        // all commits up to this position are here
	pending  []commit      // in the order of the log
	keys     int           // in pending
	progress chan struct{} // nil unless await waits; closed when received moves
	nudge    bool          // await waits for records that the server has not flushed
}

// maxPending bounds the commits that wait to become visible. Normally there are at
// most as many as server processes.
const maxPending = 1 << 16

func newStream(sink driver.Sink, maxKeys int, start uint64) *stream {
	return &stream{
		sink: sink, maxKeys: maxKeys, received: start,
		wake: make(chan struct{}, 1), pings: make(chan struct{}, 1), asks: make(chan struct{}, 1),
		ended: make(chan struct{}), looks: ondemand.NewRun(), watched: make(chan struct{}),
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// receive notes that all commits up to the position have been received. c is the last
// of them, nil if it is not new.
func (st *stream) receive(c *commit, position uint64) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if position > st.received {
		st.received = position
	}
	if c != nil {
		st.forgetUnsettled(c.xid)
	}
	if c != nil && len(c.changes) > 0 {
		if len(st.pending) >= maxPending {
			return fmt.Errorf("more than %d commits are not visible yet", maxPending)
		}
		st.pending = append(st.pending, *c)
		if st.keys += c.changes.Size(); st.keys > st.maxKeys {
			for i := range st.pending {
				st.pending[i].changes.SetWhole()
			}
			st.keys = 0
		}
		signal(st.wake)
	}
	if st.progress != nil {
		close(st.progress)
		st.progress = nil
	}
	return nil
}

// settle reports whole tables whenever a transaction ends that was invisible in the
// snapshot, because its changes may not come through the log. With streamed, a
// transaction whose commit arrives needs no such report.
func (st *stream) settle(s *snapshot, tables []driver.Table, streamed bool) {
	if len(tables) == 0 {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, x := range s.running {
		c := commit{xid: uint32(x), changes: make(rowlog.Changes), unsettled: streamed}
		for _, t := range tables {
			c.changes.Of(t).SetWhole()
		}
		st.pending = append(st.pending, c)
	}
	signal(st.wake)
}

// forgetUnsettled drops the transaction's unsettled entry, because its commit has
// arrived. The caller holds mu.
func (st *stream) forgetUnsettled(xid uint32) {
	for i := range st.pending {
		if c := &st.pending[i]; c.unsettled && c.xid == xid {
			st.pending = append(st.pending[:i], st.pending[i+1:]...)
			return
		}
	}
}

// ask requests another read of the catalog, and returns the request's number.
func (st *stream) ask() uint64 {
	n := st.questions.Add(1)
	signal(st.asks)
	return n
}

// position returns how far the log has been received.
func (st *stream) position() uint64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.received
}

// waiting returns how many commits are not known to be visible yet, and whether
// to nudge the server. It returns each nudge once.
func (st *stream) waiting() (commits int, nudge bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	nudge, st.nudge = st.nudge, false
	return len(st.pending), nudge
}

// reportEnded reports the commits that the snapshot shows, and returns how many
// others are pending.
func (st *stream) reportEnded(s *snapshot) (left int) {
	st.reporting.Lock()
	defer st.reporting.Unlock()
	st.mu.Lock()
	var all rowlog.Changes
	keep := st.pending[:0]
	st.keys = 0
	for _, c := range st.pending {
		switch {
		case !s.ended(c.xid):
			st.keys += c.changes.Size()
			keep = append(keep, c)
		case all == nil:
			all = c.changes
		default:
			all.Merge(c.changes, st.maxKeys)
		}
	}
	clear(st.pending[len(keep):])
	st.pending = keep
	left = len(keep)
	st.mu.Unlock()

	if all != nil {
		schemas, _ := st.sink.Tables()
		if list := all.Report(schemas); len(list) > 0 {
			st.sink.Report(list...)
		}
	}
	return left
}

// catchUpQuery runs in a loader's snapshot. It returns the transactions that the
// snapshot shows, and a position after all of their records. A record is inserted in
// the log before its transaction becomes visible, so any position taken after the
// snapshot will do.
const catchUpQuery = "SELECT pg_current_wal_insert_lsn()::text || ' ' || (" + snapshotQuery + ")"

// catchUp returns when every commit that the snapshot shows has been reported.
func (st *stream) catchUp(ctx context.Context, snapshot driver.Snapshot) error {
	text, err := driver.Scalar(ctx, snapshot, catchUpQuery)
	if err != nil {
		return err
	}
	at, rest, _ := strings.Cut(text, " ")
	position, err := pglogrepl.ParseLSN(at)
	if err != nil {
		return err
	}
	s, err := parseSnapshot(rest)
	if err != nil {
		return err
	}
	if err := st.await(ctx, uint64(position)); err != nil {
		return err
	}
	// The snapshot need not show all commits up to the position. The others stay
	// pending until they are visible.
	st.reportEnded(&s)
	return nil
}

// await pings the server for its position at once, again after firstPing, and then at
// growing intervals up to lastPing. An idle server answers at once with its flushed
// position. If that does not suffice, await has the server nudged at lastPing.
const (
	firstPing = time.Millisecond
	lastPing  = 4 * time.Millisecond
)

var errEnded = errors.New("the connection was lost")

// await waits until all commits up to the position have been received.
func (st *stream) await(ctx context.Context, position uint64) error {
	var timer *time.Timer
	patience := firstPing
	nudged := false
	for {
		st.mu.Lock()
		if st.received >= position {
			st.mu.Unlock()
			return nil
		}
		if st.progress == nil {
			st.progress = make(chan struct{})
		}
		progress := st.progress
		st.mu.Unlock()
		if timer == nil {
			signal(st.pings)
			timer = time.NewTimer(patience)
			defer timer.Stop()
		}
		select {
		case <-progress:
		case <-timer.C:
			signal(st.pings)
			if patience = min(2*patience, lastPing); patience == lastPing && !nudged {
				nudged = true
				st.mu.Lock()
				st.nudge = true
				st.mu.Unlock()
				signal(st.wake)
			}
			timer.Reset(patience)
		case <-st.ended:
			return errEnded
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
