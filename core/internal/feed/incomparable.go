package feed

import (
	"context"
	"fmt"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/badrows"
	"github.com/binderyhq/bindery/core/internal/compare"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

// setAsideIncomparable puts the bindings of a set in trouble whose statement has made a
// comparison fail, so that the others are compared without them. It returns false if the
// database may be to blame, or if there are no others.
func (f *Feed) setAsideIncomparable(ctx context.Context, set *compare.Set, err error) bool {
	ctx, cancel := context.WithTimeout(ctx, f.host.ReadTimeout)
	defer cancel()
	others := f.othersThan(set)
	if len(others) == 0 || !f.answersFor(ctx, others) {
		return false
	}
	var logs []func()
	f.mu.Lock()
	for _, v := range set.Members() {
		if _, member := f.members[v]; !member {
			continue
		}
		f.lags.Drop(v) // writers do not wait for a binding in trouble
		var how backlog.Reload
		if r := f.waiting[v]; r != nil {
			how = r.how
			delete(f.waiting, v)
		}
		if f.troubles.Waiting[v] == nil {
			f.stats.SetAside++
		}
		t := f.troubles.Add(v, fmt.Errorf("%s: comparing: %w", v.Describe(), err), nil, how, true, f.host.Now())
		t.Missed = f.batches + 1
		if log := f.troubleLogLocked(v, t); log != nil {
			logs = append(logs, log)
		}
	}
	f.countTroublesLocked()
	f.progressLocked()
	f.mu.Unlock()
	f.kick()
	for _, log := range logs {
		log()
	}
	return true
}

// othersThan returns the loaded members, in no trouble, that do not depend on what the set
// depends on: those of other loaders, and those of the same loader if the set's statement
// has a condition of its own.
func (f *Feed) othersThan(set *compare.Set) (others []*rowset.Member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for v := range f.members {
		sameLoader := v.Loader.Identity() == set.Loader.Identity()
		if v != set.Asked && (set.Asked != nil || !sameLoader) && !v.Unread() && f.troubles.Waiting[v] == nil {
			others = append(others, v)
		}
	}
	return others
}

// answersFor reports whether the database answers a read of a row that one of the members
// shows. It is true if they show none: then it cannot be found out.
func (f *Feed) answersFor(ctx context.Context, members []*rowset.Member) bool {
	bad, asked := f.knownBad(), make(map[any]bool)
	for _, v := range members {
		id := v.Loader.Identity()
		if asked[id] {
			continue
		}
		var some []driver.Key
		for r := range v.Snapshot().Rows() {
			if _, out := bad[r.Key()]; !out {
				some = append(some, r.Key())
			}
			if len(some) == badrows.Probes {
				break
			}
		}
		if len(some) == 0 {
			continue
		}
		asked[id] = true
		load := func(ctx context.Context, keys []driver.Key) error {
			_, err := untyped.Guard("reading", func() (struct{}, error) { _, err := v.Loader.Load(ctx, keys); return struct{}{}, err })
			return err
		}
		if badrows.Answers(ctx, load, some) {
			return true
		}
	}
	return len(asked) == 0
}
