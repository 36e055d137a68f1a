package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/compare"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

// pass is one comparison of a feed's table: a snapshot of the database, the
// bindings that were loaded then, and what batches have read since.
type pass struct {
	feed     *Feed
	ctx      context.Context // carries the snapshot
	release  func()
	one      bool // all is read from one snapshot
	tickets  []*audit.Ticket
	readings []audit.Reading

	// first is the batch under way when the snapshot was opened, or else the next one.
	// begun is the last batch that had begun when the snapshot was open. Rows read by
	// batches from first to begun may be older or newer than the snapshot; rows read by
	// later batches are newer.
	first, begun uint64
	members      map[*rowset.Member]struct{} // loaded then
}

// beginLocked notes that the snapshot is open, and which members are compared: the loaded
// ones that do not have to be read in full anyway. Those that must run their query do so in
// the background, so that a slow one holds up nobody.
func (p *pass) beginLocked() {
	f := p.feed
	p.begun = f.batches
	p.members = make(map[*rowset.Member]struct{}, len(f.members))
	for v := range f.members {
		switch t := f.troubles.Waiting[v]; {
		case v.Unread() || t != nil && t.Full:
		case !compare.Requeried(v) && !f.slowAsked[v].follows():
			p.members[v] = struct{}{}
		default:
			p.requeryLocked(v)
		}
	}
}

// requeryLocked has a member run its query again, if the comparison concerns it.
func (p *pass) requeryLocked(v *rowset.Member) {
	how, others := backlog.Reload{By: p.by()}, false
	for _, t := range p.tickets {
		switch k := t.Kind.(type) {
		case *backlog.Verification:
			if k.Member == v {
				how.Audits = append(how.Audits, k)
			}
		case mended:
			how.Mends, others = true, true
		default:
			others = true
		}
	}
	f := p.feed
	if len(how.Audits) == 0 && !others {
		return
	}
	due := f.queryAfter[v]
	if len(how.Audits) > 0 {
		due = time.Time{}
	}
	if t := f.troubles.Waiting[v]; t != nil {
		t.Ask(how)
		f.troubles.Next = time.Time{}
	} else {
		f.requestLocked(v, how, due)
	}
	f.kick()
}

// age says whether the feed may hold a newer row than a comparison has read.
type age int

const (
	stillCurrent age = iota // no batch has read it since
	outdated                // the feed holds a newer one
	unclear                 // either may be newer
)

// ageLocked compares a row of the comparison with what batches have read. The caller
// holds the feed's mutex.
func (p *pass) ageLocked(loader any, key driver.Key) age {
	j := &p.feed.journal
	if !j.Knows(p.first) {
		return unclear
	}
	switch last := j.LastRead(loader, key); {
	case last > p.begun && p.one:
		return outdated
	case last >= p.first:
		return unclear
	}
	return stillCurrent
}

// newerLocked returns the bindings that were read in full since, so that they hold newer
// rows than the comparison. known is false when either may be newer for some binding.
func (p *pass) newerLocked() (newer map[*rowset.Member]struct{}, known bool) {
	newer, known = make(map[*rowset.Member]struct{}), true
	p.feed.journal.EachFull(func(v *rowset.Member, last uint64) {
		switch {
		case last > p.begun:
			newer[v] = struct{}{}
		case last >= p.first:
			known = false
		}
	})
	return newer, known
}

// setOf makes a set.
func setOf[K comparable](all iter.Seq[K]) map[K]struct{} {
	set := make(map[K]struct{})
	for one := range all {
		set[one] = struct{}{}
	}
	return set
}

// keysOf returns the keys of a map as a set.
func keysOf[K comparable, V any](m map[K]V) map[K]struct{} { return setOf(maps.Keys(m)) }

// Readings implements [audit.Pass].
func (p *pass) Readings() []audit.Reading { return p.readings }

// Superseded implements [audit.Pass].
func (p *pass) Superseded() bool {
	p.feed.mu.Lock()
	defer p.feed.mu.Unlock()
	return p.feed.journal.LastWhole(nil) > p.begun
}

// Reread implements [audit.Pass].
func (p *pass) Reread(keys []driver.Key) {
	p.feed.mu.Lock()
	p.feed.stats.ComparedReread += uint64(len(keys))
	p.feed.mu.Unlock()
	p.feed.Report(slices.Clone(keys), p.by())
}

// by returns the first source that asked for the comparison, nil if none did.
func (p *pass) by() *backlog.Reporter {
	for _, t := range p.tickets {
		switch k := t.Kind.(type) {
		case *backlog.Reporter:
			return k
		case mended:
			return k.by
		}
	}
	return nil
}

// Close implements [audit.Pass].
func (p *pass) Close() {
	p.feed.mu.Lock()
	if p.feed.compared.pass == p {
		p.feed.compared.pass = nil
	}
	p.feed.mu.Unlock()
	p.release()
}

// found is a batch of differing rows, to be published by the feed's goroutine.
type found struct {
	pass *pass
	set  *compare.Set
	rows []audit.Row
	done chan error // of capacity 1
}

// Publish implements [audit.Pass].
func (p *pass) Publish(ctx context.Context, r audit.Reading, rows []audit.Row) error {
	n := &found{pass: p, set: r.(*compare.Set), rows: rows, done: make(chan error, 1)}
	f := p.feed
	f.mu.Lock()
	f.compared.found = append(f.compared.found, n) // never more than one: the auditor waits
	f.mu.Unlock()
	f.kick()
	look := time.NewTicker(blockedWait / 4)
	defer look.Stop()
	for {
		select {
		case err := <-n.done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
			if err := p.Blocks(); err != nil && f.withdraw(n) {
				return err
			}
		}
	}
}

// withdraw takes back what was found. It returns false when that is already being
// published.
func (f *Feed) withdraw(n *found) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.Index(f.compared.found, n)
	if i >= 0 {
		f.compared.found = slices.Delete(f.compared.found, i, i+1)
	}
	return i >= 0
}

// blockedWait is how long a batch may run beside a comparison before the comparison closes
// its snapshot. Four times the last read of the whole table is the bound where that is more.
const blockedWait = 2 * time.Second

var errBlocked = errors.New("a batch has been waiting for so long that the comparison's snapshot may be in its way; it begins anew")

// Blocks implements [audit.Pass].
func (p *pass) Blocks() error {
	f := p.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.inBatch && time.Since(f.batchBegun) > max(blockedWait, 4*f.wholeReads.last[0]) {
		return errBlocked
	}
	return nil
}

// publishFound publishes what a comparison has found. Only the feed's goroutine calls it.
func (f *Feed) publishFound(ctx context.Context) {
	f.mu.Lock()
	all := f.compared.found
	f.compared.found = nil
	f.mu.Unlock()
	for _, n := range all {
		_, err := untyped.Guard("publishing what a comparison found", func() (struct{}, error) {
			return struct{}{}, n.publish(ctx)
		})
		n.done <- err
	}
}

// publish gives the bindings the rows as they were in the snapshot. It skips rows that
// batches have read since, and has a row read again when it cannot tell which is newer.
func (n *found) publish(ctx context.Context) error {
	p, f := n.pass, n.pass.feed
	ctx, cancel := context.WithTimeoutCause(ctx, f.host.ReadTimeout, fmt.Errorf("no answer within %v", f.host.ReadTimeout))
	defer cancel()
	pl := f.findPool(n.set.Loader)
	if pl == nil || n.set.Asked != nil && !pl.Has(n.set.Asked) {
		return nil // all its bindings were removed
	}
	todo := plan{}
	covered := work{read: true, reloads: make(map[*rowset.Member]backlog.Reload), aside: f.aside()}
	covered.Keys = make(map[driver.Key]*backlog.Reporter, len(n.rows))
	r, doubtful := n.planned(pl)
	if len(doubtful) > 0 {
		p.Reread(doubtful)
	}
	if len(r.keys) == 0 {
		return nil
	}
	for _, k := range r.keys {
		covered.Keys[k] = p.by()
	}
	todo.reads = append(todo.reads, r)
	f.mu.Lock()
	covered.frozen = f.lags.Frozen()
	f.mu.Unlock()
	out, err := f.execute(ctx, todo, covered)
	if err != nil {
		return err
	}
	out.compared = true
	p.drift(out.steps)
	f.attribute(out.steps, covered)
	for _, m := range out.steps {
		f.publish(m)
	}
	f.mu.Lock()
	f.batches++
	number := f.batches
	for _, v := range out.unsettled {
		f.readInFullLocked(v, backlog.Reload{})
		f.lags.Note(v, f.applied+1, f.applied, true)
	}
	f.stats.Refills += uint64(len(out.unsettled))
	f.mu.Unlock()
	f.noteTroubles(number, &covered, out)
	return nil
}

// planned returns the rows found as a read for a batch. doubtful are the keys of rows that
// must be read again.
func (n *found) planned(pl *concern.Pool) (r plannedRead, doubtful []driver.Key) {
	p, id := n.pass, n.set.Loader.Identity()
	p.feed.mu.Lock()
	defer p.feed.mu.Unlock()
	newer, known := p.newerLocked()
	r = plannedRead{pool: pl, asked: n.set.Asked, keyed: n.set.Asked == nil, newer: newer}
	for _, row := range n.rows {
		is := p.ageLocked(id, row.Key)
		if !known {
			is = unclear
		}
		switch is {
		case unclear:
			doubtful = append(doubtful, row.Key)
			continue
		case outdated:
			continue
		}
		r.keys = append(r.keys, row.Key)
		if row.Value != nil {
			r.found = append(r.found, rowset.Fetched{Key: row.Key, Row: row.Value})
		}
	}
	for v := range pl.InMemory {
		if _, ok := p.members[v]; !ok {
			r.newer[v] = struct{}{} // it has loaded since
		}
	}
	return r, doubtful
}

// findPool returns the pool of the loader, nil if there is none.
func (f *Feed) findPool(r untyped.Loader) *concern.Pool {
	for _, p := range f.pools {
		if p.Loader.Identity() == r.Identity() {
			return p
		}
	}
	return nil
}

// drift tells whoever verifies a binding how it differed. A difference that was reported
// or announced meanwhile is no drift.
func (p *pass) drift(moves []readyStep) {
	f := p.feed
	f.mu.Lock()
	reported := work{}
	reported.Pending = backlog.Pending{MaxKeys: f.host.MaxBatchKeys}
	reported.Pending.Merge(f.pending)
	for a := range f.announced {
		reported.announced(a, a.keys)
	}
	newer, _ := p.newerLocked()
	f.mu.Unlock()
	for _, t := range p.tickets {
		a, ok := t.Kind.(*backlog.Verification)
		if !ok {
			continue
		}
		if _, ok := newer[a.Member]; ok {
			a.Busy = true // the comparison is older than what it holds
			continue
		}
		for _, m := range moves {
			if m.step.Member != a.Member {
				continue
			}
			e := m.step.Edit.Event()
			pl := f.poolOf(m.step.Member)
			a.Busy = a.Busy || reported.anyWhole() && e.Len() > 0
			a.Drift.Missing = append(a.Drift.Missing, reported.unreported(pl, e.Created)...)
			a.Drift.Extra = append(a.Drift.Extra, reported.unreported(pl, e.Deleted)...)
			a.Drift.Different = append(a.Drift.Different, reported.unreported(pl, e.Updated)...)
		}
	}
}
