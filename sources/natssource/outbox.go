package natssource

import (
	"sync"

	"github.com/binderyhq/bindery/core/driver"
)

// outbox gathers the changes to publish. Reports that come while one is being
// sent share the next message, so it never holds more than one set of keys.
type outbox struct {
	maxKeys int
	wake    chan struct{} // capacity 1

	mu     sync.Mutex // guards what follows
	tables map[driver.Table]*keySet
	order  []driver.Table // in order of arrival
	sent   uint64         // number of the last message that was taken
	merged uint64         // tables published whole for having too many keys
}

// keySet is a set of keys, or the whole table.
type keySet struct {
	whole bool
	keys  map[driver.Key]struct{}
}

func newOutbox(maxKeys int) *outbox {
	return &outbox{maxKeys: maxKeys, wake: make(chan struct{}, 1), tables: make(map[driver.Table]*keySet)}
}

// add gathers changes. It does not block.
func (o *outbox) add(changes []driver.Change) {
	o.mu.Lock()
	for _, c := range changes {
		if c.Keys != nil && len(c.Keys) == 0 {
			continue
		}
		set := o.tables[c.Table]
		if set == nil {
			set = &keySet{keys: make(map[driver.Key]struct{})}
			o.tables[c.Table] = set
			o.order = append(o.order, c.Table)
		}
		switch {
		case set.whole:
		case c.Keys == nil:
			set.whole, set.keys = true, nil
		default:
			for _, k := range c.Keys {
				set.keys[k] = struct{}{}
			}
			if len(set.keys) > o.maxKeys {
				set.whole, set.keys = true, nil
				o.merged++
			}
		}
	}
	waiting := len(o.order) > 0
	o.mu.Unlock()
	if waiting {
		select {
		case o.wake <- struct{}{}:
		default:
		}
	}
}

// take returns everything gathered and the number of its message, 0 when there
// is nothing.
func (o *outbox) take() (seq uint64, changes []driver.Change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.order) == 0 {
		return 0, nil
	}
	for _, t := range o.order {
		c := driver.Change{Table: t}
		if set := o.tables[t]; !set.whole {
			c.Keys = make([]driver.Key, 0, len(set.keys))
			for k := range set.keys {
				c.Keys = append(c.Keys, k)
			}
		}
		changes = append(changes, c)
	}
	clear(o.tables)
	o.order = nil
	o.sent++
	return o.sent, changes
}

// last returns the number of the last message that was taken.
func (o *outbox) last() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent
}

// covering returns the number of the message that holds everything added so far.
func (o *outbox) covering() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.order) > 0 {
		return o.sent + 1
	}
	return o.sent
}
