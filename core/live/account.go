package live

import "github.com/binderyhq/bindery/core/driver"

// Kind says what some memory is used for.
type Kind uint8

// The kinds of memory. A row that several views share counts once.
const (
	// Rows are the rows' Go values, with their keys and times of change.
	Rows Kind = iota
	// Encodings are the rows' JSON.
	Encodings
	// Members are the views themselves, with their trees of pointers to rows.
	Members
	// Margins are rows that limited bindings hold beyond their limit.
	Margins
	// Logs are the events kept for subscribers who lag or resume.
	Logs
	// Bodies are whatever is built from rows and events and can be rebuilt: response bodies
	// in all content codings, pages, frames.
	Bodies
	// Backlog is what feeds remember: keys still to read, keys read lately, and the reasons
	// why rows cannot be shown.
	Backlog
	// Clients is what transports hold for clients: connections and request bodies.
	Clients
	// Kinds is the number of kinds.
	Kinds
)

// String returns the kind's name in lower case.
func (k Kind) String() string {
	names := [...]string{"rows", "encodings", "members", "margins", "logs", "bodies", "backlog", "clients"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// Account counts the memory that a view uses. The view calls its methods while it holds
// locks, so they must not block and must not call the view.
type Account interface {
	// Add adds bytes, or subtracts them when the number is negative.
	Add(kind Kind, bytes int)
	// Looked notes that somebody has just used the view's cached bodies.
	Looked()
}

// Estimates of a view's size, in bytes: of the view itself, and of each row in each of its
// trees. sharedOverhead is added for a row that several views show, since an index must
// then find them.
const (
	viewOverhead   = 4096
	treeOverhead   = 12
	sharedOverhead = 184
)

// holdings are the bytes that a publisher has added to the account and must subtract again.
type holdings struct {
	index int // of the view itself and its trees
}

// retain counts the row for this view. The first view that shows the row is charged for it.
func (p *Publisher) retain(r *entry) {
	switch r.holders.Add(1) {
	case 1:
		row, encoding := r.cost()
		p.v.account.Add(Rows, row)
		p.v.account.Add(Encodings, encoding)
	case 2:
		p.v.account.Add(Rows, sharedOverhead)
	}
}

// release undoes retain.
func (p *Publisher) release(r *entry) {
	switch r.holders.Add(-1) {
	case 0:
		row, encoding := r.cost()
		p.v.account.Add(Rows, -row)
		p.v.account.Add(Encodings, -encoding)
	case 1:
		p.v.account.Add(Rows, -sharedOverhead)
	}
}

// settle updates the account for the rows that came and went between two snapshots. The
// caller holds p.settling. Only the rows with these keys may differ; with all set, settle
// counts every row anew.
func (p *Publisher) settle(from, to *Snapshot, keys []driver.Key, all bool) {
	switch {
	case p.v.account == nil:
		return
	case all:
		if to != nil {
			to.rows.Scan(func(r *entry) bool { p.retain(r); return true })
		}
		if from != nil {
			from.rows.Scan(func(r *entry) bool { p.release(r); return true })
		}
	default:
		for _, key := range keys {
			before, _ := from.rows.Get(string(key))
			after, _ := to.rows.Get(string(key))
			if before == after {
				continue
			}
			if after != nil {
				p.retain(after)
			}
			if before != nil {
				p.release(before)
			}
		}
	}
	index := 0
	if to != nil {
		index = viewOverhead + to.Len()*treeOverhead
		if to.ordered != to.rows {
			index += to.Len() * treeOverhead
		}
	}
	p.v.account.Add(Members, index-p.held.index)
	p.held.index = index
}

// DropBodies frees the bodies, pages and frames built from the view's rows and events. They
// are rebuilt on demand.
func (v *View) DropBodies() {
	if s := v.current.Load(); s != nil {
		for _, c := range s.caches() {
			c.drop()
		}
	}
	v.mu.Lock()
	events := append([]*Event(nil), v.log.events...)
	for _, m := range v.merged {
		events = append(events, m)
	}
	v.mu.Unlock()
	for _, e := range events {
		e.Cache().drop()
	}
}
