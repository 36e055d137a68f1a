package changelog

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
)

// history is a log of commits, told or not.
type history struct {
	told   []bool
	broken bool
}

func (h *history) Position() (driver.Position, error) {
	if h.broken {
		return "", errors.New("broken")
	}
	return driver.Position(strconv.Itoa(len(h.told))), nil
}

func (h *history) Changed(context.Context, []driver.Table, driver.Position) (map[driver.Table][]driver.Key, error) {
	panic("nobody asks here")
}

// TestLogsAgainstModel plays a feed: commits, some of which the log cannot tell, batches
// that ask it, and comparisons that take their time. What batches and comparisons show is
// always whole: no batch shows a commit while an earlier one is not shown.
func TestLogsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var logs Logs
		h, by := &history{}, &backlog.Reporter{}
		shown := 0 // commits that bindings show, all up to here
		var comparing *Mark
		comparedTo := 0
		t.Repeat(map[string]func(*rapid.T){
			"commit": func(t *rapid.T) {
				h.told = append(h.told, rapid.IntRange(0, 3).Draw(t, "told") > 0)
				logs.Ask(h, by)
			},
			"batch": func(t *rapid.T) {
				taken := logs.Take()
				if len(taken) == 0 {
					return
				}
				if taken[h] != by {
					t.Fatal("the log is not credited to who has noticed the commit")
				}
				from, _ := strconv.Atoi(string(logs.Shown()[h]))
				if from > shown {
					t.Fatalf("the log is asked from %d on, and %d is shown", from, shown)
				}
				for _, told := range h.told[from:] {
					if !told {
						logs.Gap()
						return
					}
				}
				shown = len(h.told)
				logs.Show(Ends([]driver.ChangeLog{h}))
			},
			"compare": func(*rapid.T) {
				if comparing == nil {
					m := NewMark(logs.Begin())
					comparing, comparedTo = &m, len(h.told)
					return
				}
				shown = max(shown, comparedTo)
				logs.Compared(*comparing)
				comparing = nil
			},
			"": func(t *rapid.T) {
				if !logs.Usable() && logs.Pending() {
					t.Fatal("a log is to be asked in spite of a gap")
				}
			},
		})
		// A comparison from here to the end closes every gap.
		logs.Compared(NewMark(logs.Begin()))
		if !logs.Usable() {
			t.Fatal("a comparison does not close the gap")
		}
	})
}

// TestLogsAreBounded: logs that nobody hands over any more are forgotten.
func TestLogsAreBounded(t *testing.T) {
	var logs Logs
	for range 10 * MaxLogs {
		logs.Show(Ends([]driver.ChangeLog{&history{}}))
	}
	if n := len(logs.Shown()); n > MaxLogs {
		t.Errorf("%d logs are remembered", n)
	}
	if n := len(Ends([]driver.ChangeLog{&history{broken: true}})); n != 0 {
		t.Error("a log that fails has an end")
	}
}
