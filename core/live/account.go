package live

import "github.com/binderyhq/bindery/core/driver"

// Kind says what memory is kept for.
type Kind uint8

// The kinds of memory. Views that share a row count it once.
const (
	// Rows are Go values, and what is kept beside each.
	Rows Kind = iota
	// Encodings are the encoded rows.
	Encodings
	// Members is what each view takes for itself: where each row stands.
	Members
	// Margins are rows that are held and not shown.
	Margins
	// Logs are the events that are kept for who lags or resumes.
	Logs
	// Bodies is what is derived: bodies in all codings, pages, frames.
	Bodies
	// Backlog is what feeds have still to read, and what they remember of what they have
	// read: keys, and the reasons why rows cannot be shown.
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

// Account is told what a view keeps. Its methods are called with locks held: they
// must not block, and must not call the view.
type Account interface {
	// Add adds bytes (or, below zero, takes them off).
	Add(kind Kind, bytes int)
	// Looked says that somebody has asked for something derived from the current
	// rows.
	Looked()
}

// Estimates of what a view takes, in bytes: for itself, and for each row in each of
// its trees. A row that several views show takes more, since somebody has to find them.
const (
	viewOverhead   = 4096
	treeOverhead   = 12
	sharedOverhead = 184
)

// holdings is what a publisher has told the account of rows.
type holdings struct {
	index int
}

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

// settle tells the account of the rows that came and went between two snapshots.
// The caller holds p.settling. Keys are those that may differ; with all set every
// row does.
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

// DropBodies forgets what has been derived from the view's rows and events. It is
// made again when somebody asks for it.
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
