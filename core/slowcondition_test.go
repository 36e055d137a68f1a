package core_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/status"
)

// slowCondition is a store that takes long to evaluate the condition "slow", once it is told
// how long.
type slowCondition struct {
	*hindered
	takes atomic.Int64 // a [time.Duration]
	byKey bool         // only where it is asked about keys
}

func (s *slowCondition) wait(ctx context.Context, q driver.Query) error {
	if q.Where != condition("slow") || s.byKey && q.Keys == nil {
		return nil
	}
	select {
	case <-time.After(time.Duration(s.takes.Load())):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestSlowConditionsHoldUpNobody: a binding whose condition the database takes long to
// evaluate, or never answers, delays the writers of its table twice at most, and the comparisons not at all. From
// then on it follows at its own pace, and when the condition is quick again it is read by
// key as before.
func TestSlowConditionsHoldUpNobody(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration
		byKey bool
	}{
		"slow":                  {takes: 3 * time.Second},
		"slow by key":           {takes: 3 * time.Second, byKey: true},
		"never answered":        {takes: time.Hour},
		"never answered by key": {takes: time.Hour, byKey: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &slowCondition{byKey: c.byKey}
				s.hindered = hinder(s.wait)
				s.Put(ware{ID: 1})
				r := newItems(t, core.Config{ReadTimeout: 5 * time.Second})
				slow := core.Bind("slow", s, core.ForLoader(driver.Terms{Where: condition("slow")}))
				quick := core.Bind("quick", s)
				r.start(t, slow, quick)
				defer r.stop(t)
				ctx := context.Background() // virtual time: it may take more than the rig allows
				report := func(c driver.Change) {
					t.Helper()
					if err := r.source.Report(ctx, c); err != nil {
						t.Fatal(err)
					}
				}
				s.takes.Store(int64(c.takes))
				report(s.Put(ware{ID: 2})) // it is found out
				report(s.Put(ware{ID: 3}))
				for id := 4; id < 40; id++ {
					begun := time.Now()
					change := s.Put(ware{ID: id})
					if id%10 == 0 {
						change = driver.Change{Table: s.Name(), Compare: true}
					}
					report(change)
					if took := time.Since(begun); quick.Len() != id || took > lateCompare {
						t.Fatalf("write %d: %d rows after %v", id, quick.Len(), took)
					}
					time.Sleep(time.Second)
				}
				switch st := slow.Status(); {
				case c.takes < time.Minute || c.byKey:
					time.Sleep(4 * 3 * time.Second)
					if slow.Len() != 39 || slow.Status().State != status.Live {
						t.Errorf("the slow one has %d rows and is %v: %v", slow.Len(), slow.Status().State, slow.Status().Err)
					}
				case st.State != status.Stale || st.Err == nil:
					t.Errorf("the binding that is never answered is %v: %v", st.State, st.Err)
				}

				// It becomes quick enough, and is written to all the time meanwhile.
				s.takes.Store(int64(slowRead))
				for id := 40; id < 1000; id++ {
					report(s.Put(ware{ID: id}))
					time.Sleep(30 * time.Millisecond)
				}
				s.takes.Store(0)
				report(s.Put(ware{ID: 199}))
				time.Sleep(10 * time.Second)
				queries, _ := s.asked()
				report(s.Put(ware{ID: 1000}))
				if slow.Len() != 1000 || slow.Status().State != status.Live {
					t.Errorf("quick again, it has %d rows and is %v: %v", slow.Len(), slow.Status().State, slow.Status().Err)
				}
				if n, _ := s.asked(); n != queries+1 || s.queries[n-1].Keys == nil {
					t.Errorf("it is not read by key again: %d queries", n-queries)
				}
			})
		})
	}
}

// slowRead is less than a slow answer takes.
const slowRead = 170 * time.Millisecond

// lateCompare is more than a comparison waits for refills.
const lateCompare = 1100 * time.Millisecond
