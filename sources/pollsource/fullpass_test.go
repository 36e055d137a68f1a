package pollsource

import (
	"io"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
)

func TestFullPass(t *testing.T) {
	poll(t, func(t *testing.T, start func(*Source, *recorder), advance func(time.Duration)) {
		r, s := newRecorder("a"), newScript()
		start(New(time.Second, s, Config{Jitter: -1, FullPass: 10 * time.Second}), r)
		advance(21500 * time.Millisecond)
		want(t, r, "0s watching", "10s a*", "20s a*")

		// What is reported whole anyway is not reported again so soon.
		s.set("a", finding{whole: true, changed: true})
		advance(time.Second)
		s.set("a", finding{keys: []driver.Key{"k"}, changed: true})
		advance(time.Second)
		s.set("a", finding{})
		advance(10 * time.Second)
		want(t, r, "22s a*", "23s a", "32s a*")

		// A table has its time from when it is first looked at.
		r.bind("a", "b")
		advance(11 * time.Second)
		want(t, r, "33.5s b*", "42s a*", "44s b*")

		// A failure has the table read whole, which counts.
		s.setFail("a", io.ErrUnexpectedEOF)
		advance(time.Second)
		s.setFail("a", nil)
		advance(11 * time.Second)
		want(t, r, `45s lost: pollsource: looking for changes of "a": unexpected EOF`, "46s a*", "46s watching", "54s b*", "56s a*")
	})
}

// TestFullPassKeepsNobodyAwake lets the interval grow past full passes.
func TestFullPassKeepsNobodyAwake(t *testing.T) {
	poll(t, func(t *testing.T, start func(*Source, *recorder), advance func(time.Duration)) {
		r, s := newRecorder("a"), newScript()
		start(New(time.Second, s, Config{Jitter: -1, FullPass: 5 * time.Second, MaxInterval: time.Minute}), r)
		advance(63500 * time.Millisecond)
		want(t, r, "0s watching", "7s a*", "15s a*", "31s a*", "1m3s a*")
	})
}

func TestFullPassDefaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		check Check
		want  time.Duration
	}{
		{"none", nil, 0},
		{"Query", Query(nil, ""), 10 * time.Minute},
		{"Probe", Probe(nil), 10 * time.Minute},
		{"DataVersion", DataVersion(nil), 10 * time.Minute},
		{"XMin", XMin(nil, 0), time.Minute},
		{"Watermark", Watermark(nil, ""), 10 * time.Minute},
	} {
		for given, want := range map[time.Duration]time.Duration{0: c.want, -1: -1, time.Hour: time.Hour} {
			if got := New(time.Second, c.check, Config{FullPass: given}).fullPass; got != want {
				t.Errorf("%s: with %v a full pass every %v, want %v", c.name, given, got, want)
			}
		}
	}
}

// TestRowThatComesAndGoes is what a comparison of two polls cannot show: a row
// is inserted and deleted between them, and read by the engine in between,
// because somebody else reported it.
func TestRowThatComesAndGoes(t *testing.T) {
	const pass = time.Minute
	test := func(t *testing.T, cfg *Config, want []string) {
		synctest.Test(t, func(t *testing.T) {
			table, others := coretest.NewTable[item]("items", "id"), &coretest.Source{}
			table.Put(item{ID: 1, Name: "stays"})
			binding := core.Bind("items", table, core.OrderBy("id"))
			names := func() (list []string) {
				for it := range binding.All() {
					list = append(list, it.Name)
				}
				return list
			}
			reg := core.Config{Logger: slog.New(slog.DiscardHandler)}.NewRegistry()
			_ = reg.Add(binding) // Start returns what is wrong
			_ = reg.Watch(others, New(time.Second, newScript(), orZero(cfg)))
			if err := reg.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := reg.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
			}()

			if err := others.Report(t.Context(), table.Put(item{ID: 2, Name: "comes and goes"})); err != nil {
				t.Fatal(err)
			}
			table.Remove(driver.KeyOf(2)) // and nobody is told
			time.Sleep(pass - time.Second)
			if got := names(); !slices.Equal(got, []string{"stays", "comes and goes"}) {
				t.Fatalf("the binding shows %q: the row was not read, or somebody else found out", got)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if got := names(); !slices.Equal(got, want) {
				t.Errorf("after the time of a full pass the binding shows %q, want %q", got, want)
			}
		})
	}
	t.Run("full passes", func(t *testing.T) {
		test(t, &Config{Jitter: -1, FullPass: pass}, []string{"stays"})
	})
	t.Run("none", func(t *testing.T) {
		test(t, &Config{Jitter: -1, FullPass: -1}, []string{"stays", "comes and goes"})
	})
}
