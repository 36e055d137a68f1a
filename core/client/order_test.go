package client

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestOrderOfMoments: texts that all name moments are ordered by these, and by their
// bytes as soon as one does not.
func TestOrderOfMoments(t *testing.T) {
	o := parseOrder([]string{"-at", "id"})
	keys := func(texts ...string) (list []sortKey) {
		for _, s := range texts {
			raw, _ := json.Marshal(s)
			list = append(list, o.of(map[string]json.RawMessage{"at": raw, "id": json.RawMessage("1")}))
		}
		return list
	}
	list := keys("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", "2026-01-01T02:00:00+02:00")
	if !o.learn(slices.Values(list)) || o.compare(list[0], list[1]) <= 0 || o.compare(list[0], list[2]) == 0 {
		t.Error("moments are not ordered in time, or two texts are one")
	}
	if other := keys("soon")[0]; o.fits(other) {
		t.Error("no moment fits")
	} else if list = append(list, other); !o.learn(slices.Values(list)) || o.compare(list[0], list[1]) >= 0 {
		t.Error("texts are not ordered by their bytes, downwards")
	}
}

// TestOrderIsOne: whatever the rows hold, comparing them is an order.
func TestOrderIsOne(t *testing.T) {
	values := rapid.OneOf(
		rapid.Map(rapid.Int64(), func(i int64) any { return i }), rapid.Map(rapid.Float64Range(-1e6, 1e6), func(f float64) any { return f }),
		rapid.Map(rapid.StringN(0, 3, -1), func(s string) any { return s }), rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Just[any](nil), rapid.Just[any](json.RawMessage("9007199254740993")), rapid.Just[any](json.RawMessage("9007199254740992.0")),
		rapid.Map(rapid.Int64Range(0, 3), func(i int64) any { return time.Unix(i, i*1e8).UTC() }),
	)
	rapid.Check(t, func(t *rapid.T) {
		o := parseOrder([]string{"a", "-b"})
		var keys []sortKey
		for range 3 {
			fields := map[string]json.RawMessage{}
			for _, name := range []string{"a", "b"} {
				raw, err := json.Marshal(values.Draw(t, name))
				if err != nil {
					t.Fatal(err)
				}
				fields[name] = raw
			}
			keys = append(keys, o.of(fields))
		}
		o.learn(slices.Values(keys))
		for _, a := range keys {
			for _, b := range keys {
				if o.compare(a, b) != -o.compare(b, a) {
					t.Fatalf("%v and %v", a, b)
				}
				for _, c := range keys {
					if o.compare(a, b) <= 0 && o.compare(b, c) <= 0 && o.compare(a, c) > 0 {
						t.Fatalf("%v, %v, %v", a, b, c)
					}
				}
			}
		}
	})
}

// TestWaitsAreSpread: each wait lies within its step, and steps grow to the bound.
func TestWaitsAreSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		least := time.Duration(rapid.IntRange(1, 1000).Draw(t, "min")) * time.Millisecond
		most := least * time.Duration(rapid.IntRange(1, 100).Draw(t, "times"))
		hint := time.Duration(rapid.IntRange(0, 5000).Draw(t, "hint")) * time.Millisecond
		b := backoff{min: least, max: most}
		step := least
		if hint > 0 {
			step = min(2*hint, most)
		}
		for range 12 {
			if w := b.next(hint); w <= 0 || w > step {
				t.Fatalf("waits %v of %v", w, step)
			}
			step = min(2*step, most)
		}
		b.reset()
		if w := b.next(0); w > least {
			t.Fatalf("waits %v after all was well", w)
		}
	})
}
