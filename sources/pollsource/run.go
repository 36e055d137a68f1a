package pollsource

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/ondemand"
)

// maxRetry is the longest wait between polls that all fail, unless the interval
// is longer.
const maxRetry = 30 * time.Second

// run is one call of Watch. It belongs to the goroutine of that call.
type run struct {
	source *Source
	sink   driver.Sink

	groups   []*group
	begun    bool // the first poll has been made
	watching bool
	lost     string        // the error last reported to the sink, while not watching
	wait     time.Duration // before the next poll, without jitter

	took      time.Duration // the time of the last successful looks
	unsettled bool          // by then commits were under way that may hide others

	asking *ondemand.Run   // from the first Watching on
	asked  <-chan struct{} // of asking; never receives before
	rested time.Time       // when it may look on request again

	woken    chan struct{} // capacity 1: a group is to be looked at before the next poll
	followed int           // looks since it was told so last
}

// When a watcher learns of a change, the run looks at once, and a few more times after
// waits that double, because files are written a moment before the commit is visible.
const (
	followUp     = time.Millisecond
	maxFollowUps = 6
)

// group is the tables that share one watcher.
type group struct {
	name    string
	tables  []driver.Schema  // at least one
	watcher watcher          // nil: it must be looked at for the first time, again
	err     error            // of the last look
	log     driver.ChangeLog // of the last look: tells which rows have changed; may be nil
	passed  time.Time        // when its tables were last known to be read whole
	stirred bool             // something was or may have been committed since
	woken   atomic.Bool      // its watcher was told of a change
	follow  bool             // it is looked at again in a moment
}

// loop polls until ctx is done. Timers are monotonic, so a clock that is set
// does not disturb it.
func (r *run) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	follow := time.NewTimer(time.Hour)
	defer follow.Stop()
	rest := time.NewTimer(time.Hour)
	defer rest.Stop()
	var changed <-chan struct{}
	for {
		select {
		case <-timer.C:
			changed = r.poll(ctx)
			timer.Reset(r.jittered())
		case <-r.woken:
			r.followed = 0
			follow.Reset(0)
		case <-follow.C:
			if r.followUp(ctx) && r.followed < maxFollowUps {
				follow.Reset(followUp << r.followed)
				r.followed++
			}
		case <-r.asked:
			if wait := time.Until(r.rested); wait > 0 {
				rest.Reset(wait)
			} else {
				changed = r.answer(ctx)
			}
		case <-rest.C:
			changed = r.answer(ctx)
		case <-changed:
			// The interval goes on: frequent new tables must not delay the others.
			changed = r.admit(ctx)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// poll looks at everything, reports what it finds, and sets the wait.
func (r *run) poll(ctx context.Context) (changed <-chan struct{}) {
	changed = r.regroup()
	answers, news := r.look(ctx, r.groups, true)
	interval := r.source.interval
	switch {
	case news:
		r.wait = interval
	case answers == 0 && len(r.groups) > 0:
		// Every look failed: the first retry comes after one interval.
		if r.watching || !r.begun {
			r.wait = interval
		} else {
			r.wait = min(2*r.wait, max(interval, maxRetry))
		}
	case r.source.cfg.MaxInterval > 0:
		if r.begun && r.watching {
			r.wait = min(2*r.wait, r.source.cfg.MaxInterval)
		} else {
			r.wait = interval
		}
	default:
		r.wait = interval
	}
	r.wait = max(r.wait, restShare*r.took)
	r.tell(ctx)
	r.begun = true
	return changed
}

// restShare times the duration of a poll's looks is the least wait before the next
// poll, so that polls take a quarter of the time at most.
const restShare = 3

// followUp looks at the groups whose watchers have learned of a change. It reports
// whether it found nothing in some of them.
func (r *run) followUp(ctx context.Context) (again bool) {
	var woken []*group
	for _, g := range r.groups {
		if g.woken.Swap(false) {
			g.follow = true
		}
		if g.follow && g.watcher != nil {
			woken = append(woken, g)
		}
	}
	if len(woken) == 0 {
		return false
	}
	_, news := r.look(ctx, woken, false)
	r.tell(ctx)
	if news || r.followed == maxFollowUps {
		for _, g := range woken {
			g.follow = false
		}
	}
	return !news
}

// admit looks for the first time at tables that were bound since the last poll.
func (r *run) admit(ctx context.Context) (changed <-chan struct{}) {
	changed = r.regroup()
	var fresh []*group
	for _, g := range r.groups {
		if g.watcher == nil && g.err == nil {
			fresh = append(fresh, g)
		}
	}
	r.look(ctx, fresh, true)
	r.tell(ctx)
	return changed
}

// regroup makes groups of the tables that are bound now, and gives up those
// without tables.
func (r *run) regroup() (changed <-chan struct{}) {
	schemas, changed := r.sink.Tables()
	for _, g := range r.groups {
		g.tables = nil
	}
	for _, t := range schemas {
		name := r.source.check.group(t)
		i := slices.IndexFunc(r.groups, func(g *group) bool { return g.name == name })
		if i < 0 {
			i = len(r.groups)
			r.groups = append(r.groups, &group{name: name})
		}
		r.groups[i].tables = append(r.groups[i].tables, t)
	}
	r.groups = slices.DeleteFunc(r.groups, func(g *group) bool {
		if len(g.tables) == 0 {
			g.drop()
			return true
		}
		return false
	})
	return changed
}

// look looks at the groups and reports its findings; with wait it waits until bindings
// show them. It returns how many looks succeeded, and whether any had news.
func (r *run) look(ctx context.Context, groups []*group, wait bool) (answers int, news bool) {
	var changes []driver.Change
	r.took, r.unsettled = 0, false
	for _, g := range groups {
		first, begun := g.watcher == nil, time.Now()
		found, err := r.lookAt(ctx, g)
		if ctx.Err() != nil {
			return answers, news
		}
		g.err = err
		if err != nil {
			g.drop()
			continue
		}
		answers++
		r.took += time.Since(begun)
		if first {
			// At the begin Watching has everything read. A table that comes
			// later may have been read before this look, and changed between.
			found = finding{whole: r.begun}
		}
		g.log = found.log
		r.unsettled = r.unsettled || found.unsettled
		news = news || found.changed
		g.stirred = g.stirred || !found.still
		if pass := r.source.fullPass; !first && pass > 0 && time.Since(g.passed) >= pass {
			found.whole = found.whole || g.stirred
			g.passed = time.Now()
		}
		if first || found.whole {
			g.passed, g.stirred = time.Now(), false
		}
		if !found.whole && len(found.keys) == 0 {
			continue
		}
		for _, t := range g.tables {
			c := driver.Change{Table: t.Table, Compare: found.whole, Log: found.log}
			if !found.whole {
				c.Keys = slices.Clone(found.keys)
			}
			changes = append(changes, c)
		}
	}
	switch {
	case len(changes) == 0:
	case wait:
		r.report(ctx, changes)
	default:
		r.sink.Report(changes...)
	}
	return answers, news
}

// lookAt looks at one group within the timeout.
func (r *run) lookAt(ctx context.Context, g *group) (finding, error) {
	if g.watcher == nil {
		g.watcher = r.source.check.watch(g.tables[0])
		if w, ok := g.watcher.(heldWatcher); ok {
			if holder, ok := r.sink.(driver.Holder); ok {
				w.compareWith(func(visit func(driver.Key)) (changed bool) {
					for _, t := range g.tables {
						changed = holder.Held(t.Table, visit) || changed
					}
					return changed
				})
			}
		}
		if w, ok := g.watcher.(waking); ok {
			w.wakeBy(func() {
				g.woken.Store(true)
				select {
				case r.woken <- struct{}{}:
				default:
				}
			})
		}
	}
	if w, ok := g.watcher.(logging); ok {
		w.logOf(g.tables)
	}
	timeout := r.source.cfg.Timeout
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %v", timeout))
	defer cancel()
	found, err := g.watcher.look(ctx)
	if err == nil {
		return found, nil
	}
	if ctx.Err() != nil {
		// The drivers' own words for it differ, and say less.
		err = context.Cause(ctx)
	}
	return finding{}, fmt.Errorf("pollsource: looking for changes of %q: %w", g.tables[0].Table, err)
}

// report reports and waits for the engine to catch up, but no longer than an
// interval. So polls become rarer if reading takes long, but a table that
// cannot be read does not block the others. A requested look ends the wait.
func (r *run) report(ctx context.Context, changes []driver.Change) {
	receipt := r.sink.Report(changes...)
	ctx, cancel := context.WithTimeout(ctx, r.source.interval)
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		_ = receipt.Wait(ctx) // only to pace the polls
	}()
	select {
	case <-waited:
	case <-r.asked:
		r.asking.AskAgain()
	}
	cancel()
	<-waited
}

// tell tells the sink whether everything is watched, if that has changed.
func (r *run) tell(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	var errs []error
	for _, g := range r.groups {
		if g.err != nil {
			errs = append(errs, g.err)
		}
	}
	switch err := errors.Join(errs...); {
	case err == nil && !r.watching:
		r.watching, r.lost = true, ""
		r.sink.Watching()
		if r.asking == nil {
			r.asking = r.source.looks.Join()
			r.asked = r.asking.Asked()
		}
	case err != nil && (r.watching || err.Error() != r.lost):
		r.watching, r.lost = false, err.Error()
		r.sink.Lost(err)
	}
}

// jittered returns the wait, shortened at random.
func (r *run) jittered() time.Duration {
	most := time.Duration(r.source.cfg.Jitter * float64(r.wait))
	if most <= 0 {
		return r.wait
	}
	return r.wait - rand.N(most+1)
}

func (r *run) close() {
	if r.asking != nil {
		r.asking.Leave()
	}
	for _, g := range r.groups {
		g.drop()
	}
}

// drop discards the watcher. It ignores the error of closing it.
func (g *group) drop() {
	if g.watcher != nil {
		_ = g.watcher.close()
		g.watcher, g.log = nil, nil
	}
}
