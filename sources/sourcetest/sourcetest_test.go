package sourcetest

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemory(t *testing.T) {
	Run(t, func() (Harness, error) { return newMemory(0, everything), nil })
}

func TestCheckOfACorrectSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if err := Check(func() (Harness, error) { return newMemory(0, everything), nil }); err != nil {
			t.Error(err)
		}
	})
}

// TestDeclaredLacks has sources that are less able, and say so.
func TestDeclaredLacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		can := Abilities{Within: everything.Within}
		err := Check(func() (Harness, error) {
			return newMemory(wholeOnly|neverAnnounces|silentBulk|silentOutside, can), nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestBrokenSources feeds the suite sources that break one rule each, and
// expects the case that guards it to say so.
func TestBrokenSources(t *testing.T) {
	impatient := everything
	impatient.Within = 200 * time.Millisecond
	humble := Abilities{Within: impatient.Within}
	for _, c := range []struct {
		name   string
		fault  fault
		can    Abilities
		fails  string // the case
		saying string
	}{
		{"silent about deletes", silentDelete, impatient, "delete", "not everything was reported"},
		{"silent about deletes", silentDelete, impatient, "insert and delete", "not everything was reported"},
		{"silent about bulk", silentBulk, impatient, "bulk", "not everything was reported"},
		{"silent about others", silentOutside, impatient, "other processes", "not everything was reported"},
		{"silent about old keys", silentOldKey, impatient, "key change", "not everything was reported"},
		{"silent at the start", silentStartUp, impatient, "start-up", "not everything was reported"},
		{"silent about later bindings", silentBound, impatient, "bound later", "not everything was reported"},
		{"silent about tables without a key", silentKeyless, impatient, "depended on", "not everything was reported"},
		{"reports too early", early, impatient, "update", "not everything was reported"},
		{"reports too early", early, impatient, "commit", "not everything was reported"},
		{"never confirms", neverConfirms, impatient, "several", "not everything was reported"},
		{"leaves announcements open", silentRollback, impatient, "rollback", "neither confirmed nor withdrawn"},
		{"never announces", neverAnnounces, impatient, "announce", "has not announced"},
		{"announces too late", announcesLate, impatient, "announce", "has not announced"},
		{"never says Watching", neverWatching, impatient, "watching", "does not say Watching"},
		{"leaks a goroutine", leaks, impatient, "stop", "goroutines are left"},
		{"ignores its context", deaf, impatient, "stop", "did not return within"},
		{"blocks in Watch", hangs, impatient, "cancelled start", "did not return within"},
		{"blocks in Watch", hangs, impatient, "watching", "does not say Watching"},
		{"waits without bound", waits, impatient, "stop while waiting", "without bound"},
		{"reports after the end", talksOn, impatient, "stop", "after Watch had returned"},
		{"watches only once", onlyOnce, impatient, "again", "does not say Watching"},
		{"keeps its slices", keepsKeys, impatient, "several", "not everything was reported"},
		{"does not notice a broken link", neverLost, impatient, "link", "neither was Lost called"},
		{"does not heal", neverHeals, impatient, "link", "Watching is not called anew"},
		{"panics", panics, impatient, "watching", "panic in Watch: no watching today"},
		{"has no name", nameless, impatient, "name", "name is empty"},
		{"covers nothing", coversNothing, impatient, "name", "does not cover"},
		{"claims keys", wholeOnly, impatient, "keys", "declares Keys"},
		{"denies keys", 0, humble, "keys", "should declare Keys"},
		{"denies bulk", 0, humble, "bulk", "declares not to see it"},
		{"denies others", 0, humble, "other processes", "declares not to see it"},
		{"denies announcements", 0, humble, "announce", "should declare WholeTransactions"},
	} {
		t.Run(c.name+"/"+c.fails, func(t *testing.T) {
			// Faults are a matter of time: on the machine's clock a busy moment could
			// hide one, or look like another.
			synctest.Test(t, func(t *testing.T) {
				m := newMemory(c.fault, c.can)
				err := check(func() (Harness, error) { return m, nil }, c.fails)
				m.letGo()
				if err == nil {
					t.Fatal("the suite finds nothing wrong")
				}
				for _, part := range []string{fmt.Sprintf("sourcetest: case %q", c.fails), c.saying, "rule: "} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("the error does not say %q: %v", part, err)
					}
				}
			})
		})
	}
}
