package live

// A lagging subscriber gets a sync instead of a merged event when it missed more than this
// many rows, or more than about twice the rows that the binding holds.
const maxMergedRows = 8192

// maxSharedMerges bounds the merged events kept for other subscribers with the same lag.
// They are dropped at the next publish.
const maxSharedMerges = 16

// mergeShared merges the events that a subscriber missed into one that leads to the version
// of cur. Subscribers with the same lag share it.
func (v *View) mergeShared(missed []*Event, cur *Snapshot) *Event {
	if len(missed) == 1 {
		return missed[0]
	}
	weight := 0
	for _, e := range missed {
		weight += e.Len()
	}
	if weight > min(maxMergedRows, 2*cur.Len()+16) {
		v.syncs.Add(1)
		return cur.SyncEvent()
	}
	last := missed[len(missed)-1]
	v.mu.Lock()
	if v.mergedFor != last {
		v.forgetMergedLocked()
		v.mergedFor = last
	}
	m := v.merged[len(missed)]
	v.mu.Unlock()
	if m != nil {
		return m
	}
	m = merge(missed)
	if v.account != nil {
		m.own.attach(v.account, false)
	}
	v.merges.Add(1)
	v.mu.Lock()
	if v.ended == nil && v.mergedFor == last && len(v.merged) < maxSharedMerges {
		if v.merged == nil {
			v.merged = make(map[int]*Event)
		}
		v.merged[len(missed)] = m
	} else {
		m.own.detach()
	}
	v.mu.Unlock()
	return m
}

// takeArmedLocked removes and returns the subscriptions that wait for an event. The
// caller notifies them after it has released the lock.
func (v *View) takeArmedLocked() []*Subscription {
	armed := v.armed
	v.armed = v.spare[:0]
	v.spare = nil
	for _, s := range armed {
		s.armed.Store(0)
	}
	return armed
}

// notifyAll notifies the subscriptions that takeArmedLocked has returned. It runs on
// one goroutine at a time.
func (v *View) notifyAll(armed []*Subscription) {
	for _, s := range armed {
		s.notify()
	}
	clear(armed)
	v.mu.Lock()
	v.spare = armed[:0]
	v.mu.Unlock()
}

// forgetMergedLocked drops the merged events, which a newer version makes useless.
func (v *View) forgetMergedLocked() {
	for _, m := range v.merged {
		m.own.detach()
	}
	v.mergedFor, v.merged = nil, nil
}
