package status

import (
	"encoding/json"
	"math"
	"time"
)

// Transport holds the counters of a transport. They only grow, except Open, Subscribers and
// Polling.
type Transport struct {
	// Name is the transport's name.
	Name string `json:"name"`
	// Open is the number of open connections, sessions or streams. Subscribers is the
	// number of subscriptions on them.
	Open        int `json:"open"`
	Subscribers int `json:"subscribers"`
	// Polling is how many of those open ones use one request after another where a
	// persistent connection would be better.
	Polling int `json:"polling,omitempty"`
	// Refused counts clients turned away because too many were connected, Dropped those
	// disconnected because they did not read or answer, and Held the times that a client's
	// requests had to wait until it took the answers to earlier ones.
	Refused uint64 `json:"refused"`
	Dropped uint64 `json:"dropped"`
	Held    uint64 `json:"held"`
	// Resumed counts the subscriptions that continued from a version that the client held,
	// Synced those that began with all rows. Lagged counts the merged events sent to
	// clients that were behind, and Resynced the syncs that replaced rows that a client
	// held.
	Resumed  uint64 `json:"resumed"`
	Synced   uint64 `json:"synced"`
	Lagged   uint64 `json:"lagged"`
	Resynced uint64 `json:"resynced"`
	// Bodies counts the bodies built, in any coding; an answer that reuses a body does not
	// count.
	Bodies uint64 `json:"bodies"`
	// Responses counts the HTTP answers by status, without zeros.
	Responses map[int]uint64 `json:"responses"`
	// Delay is the distribution of the time from the first report of a change until it was
	// written to a client.
	Delay Histogram `json:"delay"`
}

// Histogram counts durations by length.
type Histogram struct {
	// Bounds are the upper bounds of the buckets, ascending. Counts are the numbers of
	// durations within each bound and above the previous one, followed by the number above
	// all bounds.
	Bounds []time.Duration
	Counts []uint64
	// Sum is the sum of all durations.
	Sum time.Duration
}

// Count returns the number of durations.
func (h Histogram) Count() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Quantile returns an upper bound of the quantile q, between 0 and 1: the upper bound of
// its bucket. It returns 0 when there are no durations, and [math.MaxInt64] when the
// quantile is above all bounds.
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

// MarshalJSON encodes the count, the sum and two quantiles, in seconds. A quantile above
// all bounds is null.
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
