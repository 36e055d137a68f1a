package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/binderyhq/bindery/core/status"
)

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// perBinding adds a metric with one value for each binding.
func (c *statusCollector) perBinding(name, help string, of func(status.Binding) int) {
	c.add(gauge, name, help, []string{"binding"}, func(st status.Registry, set setter) {
		for _, f := range st.Families { // also while no member is alive
			set(0, f.Name)
		}
		for _, b := range st.Bindings {
			set(float64(of(b)), b.Name)
		}
	})
}

func (c *statusCollector) bindings() {
	c.perBinding("bindery_binding_rows", "Rows that the binding holds, of all members.", func(b status.Binding) int { return b.Rows })
	c.perBinding("bindery_binding_bytes", "Length of the rows' encoded forms, in bytes.", func(b status.Binding) int { return b.Bytes })
	c.perBinding("bindery_binding_subscribers", "Open subscriptions.", func(b status.Binding) int { return b.Subscribers })
	c.perBinding("bindery_binding_troubled_rows", "Rows that the binding should show and cannot.", func(b status.Binding) int { return b.Troubled })
	c.add(gauge, "bindery_binding_state", "Bindings, or members of the family, that are in the state.", []string{"binding", "state"},
		func(st status.Registry, set setter) {
			for _, b := range st.Bindings {
				for _, s := range []status.State{status.Loading, status.Live, status.Stale, status.Restored, status.Ended} {
					n := 0.0
					if b.State == s {
						n = 1
					}
					set(n, b.Name, s.String())
				}
			}
		})
	perFamily := func(kind prometheus.ValueType, name, help string, of func(status.Family) float64) {
		c.add(kind, name, help, []string{"binding"}, func(st status.Registry, set setter) {
			for _, f := range st.Families {
				set(of(f), f.Name)
			}
		})
	}
	perFamily(gauge, "bindery_family_members", "Members that are alive.", func(f status.Family) float64 { return float64(f.Alive) })
	perFamily(gauge, "bindery_family_members_in_use", "Members that are in use.", func(f status.Family) float64 { return float64(f.InUse) })
	perFamily(gauge, "bindery_family_members_max", "Bound of the members that are alive.", func(f status.Family) float64 { return float64(f.Max) })
	perFamily(counter, "bindery_family_opened_total", "Members that came alive.", func(f status.Family) float64 { return float64(f.Opened) })
	perFamily(counter, "bindery_family_retired_total", "Members that ended because nobody used them.", func(f status.Family) float64 { return float64(f.Retired) })
	perFamily(counter, "bindery_family_evicted_total", "Members that made room for another.", func(f status.Family) float64 { return float64(f.Evicted) })
	perFamily(counter, "bindery_family_refused_total", "Requests for a member for which there was no room.", func(f status.Family) float64 { return float64(f.Refused) })
}

func (c *statusCollector) tables() {
	for _, m := range []struct {
		name, help string
		of         func(status.Feed) uint64
	}{
		{"reports_total", "Reports that concerned the table.", func(f status.Feed) uint64 { return f.Reports }},
		{"reported_keys_total", "Keys in the reports.", func(f status.Feed) uint64 { return f.Keys }},
		{"reads_total", "Batches that were read.", func(f status.Feed) uint64 { return f.Reads }},
		{"whole_reads_total", "Batches that read the whole table.", func(f status.Feed) uint64 { return f.WholeReads }},
		{"read_keys_total", "Keys read in the other batches.", func(f status.Feed) uint64 { return f.BatchKeys }},
		{"failures_total", "Reads that failed.", func(f status.Feed) uint64 { return f.Failures }},
		{"overflows_total", "Batches that had so many keys that the whole table was read.", func(f status.Feed) uint64 { return f.Overflows }},
		{"behind_total", "Batches that read the whole table because a source did not catch up in time.", func(f status.Feed) uint64 { return f.Behind }},
		{"refills_total", "Bindings that were read anew because their margin was used up.", func(f status.Feed) uint64 { return f.Refills }},
		{"waits_total", "Writers that waited for the table's bindings.", func(f status.Feed) uint64 { return f.Waits }},
		{"waits_in_vain_total", "Writers that gave up waiting.", func(f status.Feed) uint64 { return f.WaitsInVain }},
		{"comparisons_total", "Comparisons of the whole table beside the batches.", func(f status.Feed) uint64 { return f.Comparisons }},
		{"comparison_found_total", "Rows that comparisons found to differ.", func(f status.Feed) uint64 { return f.ComparedFound }},
		{"set_aside_total", "Times that a binding was set aside.", func(f status.Feed) uint64 { return f.SetAside }},
	} {
		c.add(counter, "bindery_feed_"+m.name, m.help, []string{"table"}, func(st status.Registry, set setter) {
			for _, f := range st.Tables {
				set(float64(m.of(f)), f.Table.String())
			}
		})
	}
	c.add(gauge, "bindery_feed_troubled_bindings", "Bindings that are set aside.", []string{"table"}, func(st status.Registry, set setter) {
		for _, f := range st.Tables {
			set(float64(f.Troubled), f.Table.String())
		}
	})
}

func (c *statusCollector) sources() {
	add := func(kind prometheus.ValueType, name, help string, of func(status.Source) float64) *family {
		return c.add(kind, name, help, []string{"source"}, func(st status.Registry, set setter) {
			for _, s := range st.Sources {
				set(of(s), s.Name)
			}
		})
	}
	add(gauge, "bindery_source_watching", "1 while the source reports every commit, else 0.", func(s status.Source) float64 {
		return number(s.Watching)
	}).put = func(a, b float64) float64 { return min(a, b) } // two sources of one name: watching if both are
	add(counter, "bindery_source_reports_total", "Reports of the source.", func(s status.Source) float64 { return float64(s.Reports) })
	add(counter, "bindery_source_failures_total", "Times that the source lost sight.", func(s status.Source) float64 { return float64(s.Failures) })
	add(counter, "bindery_source_found_total", "Rows that differed and that this source was the first to report.", func(s status.Source) float64 { return float64(s.Found) })
}

func (c *statusCollector) origins() {
	add := func(name, help string, of func(status.Origin) uint64) {
		c.add(counter, name, help, []string{"origin"}, func(st status.Registry, set setter) {
			for _, o := range st.Origins {
				set(float64(of(o)), o.Name)
			}
		})
	}
	add("bindery_origin_steps_total", "Batches from the followed node that led to a version.", func(o status.Origin) uint64 { return o.Steps })
	add("bindery_origin_syncs_total", "Those of them that brought all rows.", func(o status.Origin) uint64 { return o.Syncs })
	add("bindery_origin_mismatches_total", "Versions whose token was not the followed node's; none was shown.", func(o status.Origin) uint64 { return o.Mismatches })
	add("bindery_origin_resyncs_total", "Times that all rows were asked for because something made no sense.", func(o status.Origin) uint64 { return o.Resyncs })
	add("bindery_origin_failures_total", "Streams that broke or could not be opened.", func(o status.Origin) uint64 { return o.Failures })
	add("bindery_origin_bytes_total", "Bytes of JSON that came.", func(o status.Origin) uint64 { return o.Bytes })
}

func (c *statusCollector) marks() {
	add := func(kind prometheus.ValueType, name, help string, of func(status.Marks) float64) {
		c.add(kind, name, help, nil, func(st status.Registry, set setter) { set(of(st.Marks)) })
	}
	add(counter, "bindery_marks_made_total", "Marks that were made.", func(m status.Marks) float64 { return float64(m.Made) })
	add(counter, "bindery_marks_omitted_total", "Parts that a mark lacks, so that other nodes understand it less.", func(m status.Marks) float64 { return float64(m.Omitted) })
	add(counter, "bindery_marks_asked_total", "Marks that were waited for.", func(m status.Marks) float64 { return float64(m.Asked) })
	add(gauge, "bindery_marks_waiting", "Marks that are waited for now.", func(m status.Marks) float64 { return float64(m.Waiting) })
	add(counter, "bindery_marks_foreign_total", "Marks that say nothing here.", func(m status.Marks) float64 { return float64(m.Foreign) })
	add(counter, "bindery_marks_unreached_total", "Marks whose wait was given up.", func(m status.Marks) float64 { return float64(m.Unreached) })
	add(counter, "bindery_marks_refused_total", "Marks that were not waited for, because too many were.", func(m status.Marks) float64 { return float64(m.Refused) })
}

func (c *statusCollector) transports() {
	add := func(kind prometheus.ValueType, name, help string, of func(status.Transport) float64) {
		c.add(kind, name, help, []string{"transport"}, func(st status.Registry, set setter) {
			for _, t := range st.Transports {
				set(of(t), t.Name)
			}
		})
	}
	add(gauge, "bindery_subscribers", "Bindings that clients follow; of rest, requests that wait.", func(t status.Transport) float64 { return float64(t.Subscribers) })
	add(gauge, "bindery_connections", "Open connections, sessions or streams; of rest, requests that wait.", func(t status.Transport) float64 { return float64(t.Open) })
	add(counter, "bindery_clients_refused_total", "Clients turned away because too many were connected.", func(t status.Transport) float64 { return float64(t.Refused) })
	add(counter, "bindery_clients_dropped_total", "Clients disconnected because they did not read, answer or send.", func(t status.Transport) float64 { return float64(t.Dropped) })
	add(counter, "bindery_clients_held_total", "Times that a client's requests waited until it took earlier answers.", func(t status.Transport) float64 { return float64(t.Held) })
	add(counter, "bindery_resumes_total", "Subscriptions that went on from a version that the client held.", func(t status.Transport) float64 { return float64(t.Resumed) })
	add(counter, "bindery_syncs_total", "Subscriptions that began with all rows.", func(t status.Transport) float64 { return float64(t.Synced) })
	add(counter, "bindery_lagging_total", "Events that told a client of several versions at once, because it was behind.", func(t status.Transport) float64 { return float64(t.Lagged) })
	add(counter, "bindery_resyncs_total", "Full syncs that replaced what a client held.", func(t status.Transport) float64 { return float64(t.Resynced) })
	add(counter, "bindery_bodies_built_total", "Bodies that were built, in any coding; others are used again.", func(t status.Transport) float64 { return float64(t.Bodies) })
	c.add(counter, "bindery_responses_total", "HTTP answers by status; 304 says that nothing had to be sent.", []string{"transport", "status"},
		func(st status.Registry, set setter) {
			for _, t := range st.Transports {
				for code, n := range t.Responses {
					set(float64(n), t.Name, strconv.Itoa(code))
				}
			}
		})
}

func (c *statusCollector) memory() {
	c.add(gauge, "bindery_memory_bytes", "What the bindings keep, by kind, as estimated.", []string{"kind"}, func(st status.Registry, set setter) {
		for kind, n := range st.Memory.Bytes {
			set(float64(n), kind)
		}
	})
	one := func(kind prometheus.ValueType, name, help string, of func(status.Memory) float64) {
		c.add(kind, name, help, nil, func(st status.Registry, set setter) { set(of(st.Memory)) })
	}
	one(gauge, "bindery_memory_budget_bytes", "The budget; 0 is none.", func(m status.Memory) float64 { return float64(m.Limit) })
	one(gauge, "bindery_memory_used_bytes", "What the bindings keep together, what they share counted once.", func(m status.Memory) float64 { return float64(m.Total) })
	one(counter, "bindery_memory_bodies_dropped_total", "Times that a binding was made to forget its bodies.", func(m status.Memory) float64 { return float64(m.Dropped) })
	one(counter, "bindery_memory_evicted_total", "Unused members that made room.", func(m status.Memory) float64 { return float64(m.Evicted) })
	one(counter, "bindery_memory_refused_total", "Members for which there was no room.", func(m status.Memory) float64 { return float64(m.Refused) })
}
