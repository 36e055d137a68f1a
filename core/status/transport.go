package status

import (
	"encoding/json"
	"math"
	"time"
)

// Transport is what is known about a transport. All counters only grow.
type Transport struct {
	// Name is what the transport calls itself.
	Name string `json:"name"`
	// Open is the number of connections, sessions or streams that are open, and
	// Subscribers that of the bindings that they follow.
	Open        int `json:"open"`
	Subscribers int `json:"subscribers"`
	// Polling is how many of those open are held by one request after the other, where
	// a connection of their own would be better.
	Polling int `json:"polling,omitempty"`
	// Refused counts clients that were turned away because too many were
	// connected, Dropped those disconnected because they did not read or answer,
	// and Held the times that a client's requests had to wait until it took the
	// answers to earlier ones.
	Refused uint64 `json:"refused"`
	Dropped uint64 `json:"dropped"`
	Held    uint64 `json:"held"`
	// Resumed counts subscriptions that went on from a version that the client
	// held, Synced those that began with all rows. Lagged counts the events that
	// told a client of several versions at once, because it was behind, and Resynced
	// the full syncs that replaced what a client held.
	Resumed  uint64 `json:"resumed"`
	Synced   uint64 `json:"synced"`
	Lagged   uint64 `json:"lagged"`
	Resynced uint64 `json:"resynced"`
	// Bodies counts the bodies that were built, in any coding; an answer that uses
	// a body again builds none.
	Bodies uint64 `json:"bodies"`
	// Responses counts HTTP answers by status. It has no zeros.
	Responses map[int]uint64 `json:"responses"`
	// Delay is the time from the first report of a change until it was written to
	// a client, in buckets.
	Delay Histogram `json:"delay"`
}

// Histogram is how many durations there were, by length.
type Histogram struct {
	// Bounds are the upper bounds of the buckets, rising. Counts are the numbers
	// of durations within each bound and beyond the one before; there is one more
	// for those beyond all bounds.
	Bounds []time.Duration
	Counts []uint64
	// Sum is all durations together.
	Sum time.Duration
}

// Count returns how many durations there were.
func (h Histogram) Count() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Quantile returns an upper bound for the share q, between 0 and 1, of the
// durations: the bound of the bucket in which it ends. It returns 0 when there
// were none, and [math.MaxInt64] when it ends beyond all bounds.
func (h Histogram) Quantile(q float64) time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	rank, seen := uint64(math.Ceil(q*float64(n))), uint64(0)
	for i, bound := range h.Bounds {
		if seen += h.Counts[i]; seen >= max(rank, 1) {
			return bound
		}
	}
	return math.MaxInt64
}

// MarshalJSON encodes the count, the sum and two quantiles, in seconds. A quantile
// beyond all bounds is null.
func (h Histogram) MarshalJSON() ([]byte, error) {
	quantile := func(q float64) *float64 {
		d := h.Quantile(q)
		if d == math.MaxInt64 {
			return nil
		}
		s := d.Seconds()
		return &s
	}
	return json.Marshal(struct {
		Count  uint64   `json:"count"`
		Sum    float64  `json:"sum"`
		Median *float64 `json:"p50"`
		Late   *float64 `json:"p99"`
	}{h.Count(), h.Sum.Seconds(), quantile(0.5), quantile(0.99)})
}
