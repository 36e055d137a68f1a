package core

import "github.com/binderyhq/bindery/core/driver"

// reload says how a binding is to be read in full.
type reload struct {
	forget bool            // begin with nothing
	audits []*verification // what is found to differ is noted here
}

func (r reload) and(o reload) reload {
	return reload{forget: r.forget || o.forget, audits: append(r.audits, o.audits...)}
}

// work is what one batch covers.
type work struct {
	pending
	reloads map[*publisher]reload
	apart   bool // nothing but retries
	leaving []*publisher
	seq     uint64 // reports up to this one are covered
	gen     uint64 // announcements made when it was taken
	calm    bool   // nothing was announced then, and nothing must be caught up with

	following []driver.Follower
	read      bool // something was read

	resolved map[*pool]pending // what related tables add; nil until it is known
}

func (f *feed) take() work {
	// Asked before the reports are taken: a source that loses its sight after
	// having reported is then found to be behind, not left out.
	following := f.eng.following(f.table)
	f.mu.Lock()
	defer f.mu.Unlock()
	w := work{
		seq:  f.applied,
		gen:  f.announces,
		calm: len(f.announced) == 0 && len(following) == 0,

		following: following,
	}
	f.reading = true
	if w.reloads = f.retries.take(f.idleLocked()); len(w.reloads) > 0 {
		w.apart = true
		return w
	}
	w.pending, w.reloads, w.leaving, w.seq = f.pending.take(), f.reloads, f.leaving, f.reported
	f.reloads = make(map[*publisher]reload)
	f.leaving = nil
	return w
}

// putBack returns what a failed batch had taken. It reports whether the batch
// may have failed because of members that were to be read for the first time,
// which are then read apart from the rest.
func (f *feed) putBack(w work, err error) (apart bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.apart {
		f.retries.ended(w.reloads, err)
		return true
	}
	f.pending.merge(w.pending)
	for v, how := range w.reloads {
		if _, ok := f.members[v]; !ok {
			continue
		}
		if v.family.proto != v && v.current.Load() == nil {
			f.retries.postpone(v, how, err)
			apart = true
			continue
		}
		f.reloads[v] = f.reloads[v].and(how)
	}
	return apart
}
