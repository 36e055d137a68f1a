package live

import "github.com/binderyhq/bindery/core/driver"

// Kind says what memory is kept for.
type Kind uint8

// The kinds of memory. Views that share a row count it once.
const (
	// Rows are the rows' Go values, with their keys and times of change.
	Rows Kind = iota
	// Encodings are the rows' JSON.
	Encodings
	// Members are the views themselves, with their trees of pointers to rows.
	Members
	// Margins are rows that limited bindings hold beyond their limit.
	Margins
	// Logs are the events that are kept for subscribers who lag or resume.
	Logs
	// Bodies are made from rows and events and can be made again: bodies in all
	// codings, pages, frames.
	Bodies
	// Backlog are the keys that feeds have still to read, those that they have read
	// lately, and the reasons why rows cannot be shown.
	Backlog
	// Clients is what transports keep for clients: connections, and the bodies of
	// requests.
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

// Account counts the memory that a view uses. The view calls its methods with locks
// held: they must not block, and must not call the view.
type Account interface {
	// Add adds bytes, or subtracts them when the number is negative.
	Add(kind Kind, bytes int)
	// Looked notes that somebody has just used the view's bodies.
	Looked()
}

// Estimates of what a view takes, in bytes: for itself, and for each row in each of
// its trees. A row that several views show takes more, since somebody has to find them.
const (
	viewOverhead   = 4096
	treeOverhead   = 12
	sharedOverhead = 184
)

// holdings are the bytes that a publisher has added to the account and will subtract.
type holdings struct {
	index int // of the view itself and its trees
}

// retain counts the row for this view. The first view that shows the row pays for it.
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

// settle updates the account for the rows that came and went between two snapshots.
// The caller holds p.settling. keys are those of rows that may differ; with all set,
// every row is counted anew.
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

// DropBodies frees the bodies, pages and frames that were made from the view's rows
// and events. They are made again when somebody asks for them.
func (v *View) DropBodies() {
	if s := v.current.Load(); s != nil {
		for _, c := range s.caches() {
			c.Drop()
		}
	}
	v.mu.Lock()
	events := append([]*Event(nil), v.log.events...)
	for _, m := range v.merged {
		events = append(events, m)
	}
	v.mu.Unlock()
	for _, e := range events {
		e.Cache().Drop()
	}
}
