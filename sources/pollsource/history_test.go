package pollsource

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestHistoryMissesNoCommit lets transactions come and go at random and checks,
// at every poll, the promise: no row committed since the last poll began is
// below the bound, unless its transaction is excused.
func TestHistoryMissesNoCommit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const overlap = 10
		knowsTransactions := rapid.Bool().Draw(t, "the database tells transactions")
		type transaction struct {
			begin, wrote int
			id           int64 // 0: none yet
			watermark    int
		}
		var (
			running []*transaction
			clock   int
			ids     int64
			high    any
			h       history
			last    int // when the last poll began
			since   []*transaction
			begun   bool
			settled bool
			before  []int // the watermarks committed before the history was settled
		)
		at := func(n int) time.Time { return time.Unix(int64(n), 0) }
		raise := func(w int) {
			if high == nil || high.(int) < w {
				high = w
			}
		}
		poll := func() {
			m := mark{start: at(clock), oldest: math.MaxInt64}
			begin := clock
			clock += rapid.IntRange(0, 4).Draw(t, "duration")
			var during []*transaction
			if rapid.Bool().Draw(t, "a commit during the poll") {
				ids++
				during = []*transaction{{begin: clock, wrote: clock, id: ids, watermark: clock}}
				since = append(since, during...)
				raise(clock)
			}
			m.high, m.end = high, at(clock)
			if knowsTransactions {
				for _, x := range running {
					if x.id > 0 {
						m.oldest, m.newest = min(m.oldest, x.id), max(m.newest, x.id)
					}
				}
			}
			if begun {
				lower, isSettled := h.lower(overlap * time.Second)
				for _, x := range since {
					excused := x.begin+overlap < last
					if knowsTransactions {
						excused = x.begin+overlap < x.wrote
					}
					switch seen := lower == nil || x.watermark >= lower.(int); {
					case seen || excused:
					case settled:
						t.Fatalf("at %d: a commit with watermark %d, begun at %d, is below %v", clock, x.watermark, x.begin, lower)
					case isSettled: // the whole table is read
					default:
						before = append(before, x.watermark)
					}
				}
				if settled && !isSettled {
					t.Fatalf("at %d: the history became too short again", clock)
				}
				settled = isSettled
			}
			if len(h.marks) > maxMarks {
				t.Fatalf("%d marks", len(h.marks))
			}
			h.add(m)
			begun, last, since = true, begin, during
		}
		t.Repeat(map[string]func(*rapid.T){
			"time": func(t *rapid.T) { clock += rapid.IntRange(1, 8).Draw(t, "for") },
			"begin": func(*rapid.T) {
				running = append(running, &transaction{begin: clock})
			},
			"write": func(t *rapid.T) {
				if len(running) == 0 {
					t.Skip("nobody is there")
				}
				x := rapid.SampledFrom(running).Draw(t, "by")
				if x.id == 0 {
					ids++
					x.id, x.wrote = ids, clock
				}
				// now(), or clock_timestamp()
				x.watermark = rapid.SampledFrom([]int{x.begin, clock}).Draw(t, "watermark")
			},
			"commit": func(t *rapid.T) {
				i := slices.IndexFunc(running, func(x *transaction) bool { return x.id > 0 })
				if i < 0 {
					t.Skip("nobody wrote")
				}
				if n := len(running); rapid.Bool().Draw(t, "the youngest") && running[n-1].id > 0 {
					i = n - 1
				}
				x := running[i]
				running = slices.Delete(running, i, i+1)
				since = append(since, x)
				raise(x.watermark)
			},
			"poll": func(*rapid.T) { poll() },
		})
		// What was missed before must not be later than the settling.
		if len(before) > 0 && !settled {
			clock += overlap + 1
			running, since = nil, nil
			poll()
			clock += overlap + 3
			poll()
			if !settled {
				t.Fatalf("nothing runs, and the history is not settled")
			}
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	var h history
	now := time.Unix(0, 0)
	for i := range 10_000 {
		// One transaction runs all the time.
		h.add(mark{start: now, end: now, high: i, oldest: 7, newest: int64(i + 7)})
		now = now.Add(time.Second)
		if len(h.marks) > maxMarks {
			t.Fatalf("%d marks after %d polls", len(h.marks), i+1)
		}
		if high, settled := h.lower(time.Minute); high != 0 || settled {
			t.Fatalf("after %d polls the bound is %v (settled: %v); the transaction may have written before", i+1, high, settled)
		}
	}
	h.add(mark{start: now, end: now, high: 10_000, oldest: math.MaxInt64})
	if high, settled := h.lower(time.Minute); !settled || high.(int) < 9_700 || high.(int) > 9_940 {
		t.Errorf("after the transaction's end the bound is %v (settled: %v); want one of a good minute ago", high, settled)
	}
}
