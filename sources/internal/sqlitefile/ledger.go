package sqlitefile

import "sync"

// Ledger counts the commits of a pool of connections. The zero value is ready to
// use, and costs next to nothing without a Watch. Its methods may be called
// from any goroutine.
type Ledger struct {
	mu      sync.Mutex        // guards what follows
	active  int               // commits under way
	made    map[string]uint32 // commits that wrote, by schema, since somebody was the first of active
	watches map[*Watch]struct{}
}

// Begin notes that a statement or a commit begins that may commit. Call End once for
// each Begin.
func (l *Ledger) Begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active++; l.active > 1 {
		return
	}
	clear(l.made)
	for w := range l.watches {
		w.open()
	}
}

// End notes its end, and the schemas that it has certainly written to: "main", or the
// names of attached databases. Leave out a commit that may have failed, or may have
// changed no row. It then counts as another's, which costs a comparison; a commit
// counted wrongly would hide another's.
func (l *Ledger) End(wrote ...string) {
	l.mu.Lock()
	var alarmed []*Watch
	if l.made == nil {
		l.made = make(map[string]uint32)
	}
	for _, schema := range wrote {
		l.made[schema]++
	}
	if l.active--; l.active == 0 {
		for w := range l.watches {
			if w.close(l.made[w.schema]) {
				alarmed = append(alarmed, w)
			}
		}
	}
	l.mu.Unlock()
	for _, w := range alarmed {
		w.alarm()
	}
}

// Watch compares the counter of one file with the commits of one ledger.
type Watch struct {
	ledger  *Ledger // nil: all commits count as others'
	schema  string
	counter *Counter
	alarm   func()

	// The ledger's mutex guards what follows.
	base   Reading // Look has returned everything up to here
	before Reading // when the running commits began
	own    uint32  // commits of the pool since base
	err    error   // of a reading, since base
}

// NewWatch begins to watch: Look reports others' commits to the file from now on.
// schema is the file's name in the ledger's connections. alarm is called, from any
// goroutine and without a lock, when a commit of the pool shows that others have
// committed; it must not block. With a nil ledger all commits count as others'.
func NewWatch(counter *Counter, ledger *Ledger, schema string, alarm func()) (*Watch, error) {
	if ledger == nil {
		ledger = &Ledger{}
	}
	w := &Watch{ledger: ledger, schema: schema, counter: counter, alarm: alarm}
	ledger.mu.Lock()
	defer ledger.mu.Unlock()
	var err error
	if w.base, err = counter.Read(); err != nil {
		return nil, err
	}
	w.before = w.base
	if ledger.watches == nil {
		ledger.watches = make(map[*Watch]struct{})
	}
	ledger.watches[w] = struct{}{}
	return w, nil
}

// Close ends the watch.
func (w *Watch) Close() {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	delete(w.ledger.watches, w)
}

func (w *Watch) open() {
	var err error
	if w.before, err = w.counter.Read(); err != nil {
		w.err = err
	}
}

// close attributes the counter's growth to the pool's own commits, at most made of it.
// others says that others have, or may have, committed since base.
func (w *Watch) close(made uint32) (others bool) {
	after, err := w.counter.Read()
	if err != nil {
		w.err = err
		return true
	}
	if after.Series != w.before.Series {
		return true
	}
	w.own += min(after.Commits-w.before.Commits, made)
	return after.Series != w.base.Series || after.Commits-w.base.Commits != w.own
}

// Finding says who has committed to a file since the last Look.
type Finding struct {
	// Foreign says that others have committed, Own that the pool has.
	Foreign, Own bool
	// Settled is false while a commit of the pool is running. Then a later Look
	// reports others' commits beside it.
	Settled bool
	// Commits is the counter's value at this Look, see [Reading.Commits].
	Commits uint32
}

// Look returns who has committed since its last call. After an error, which says that
// the files could not be read, anything may have been committed.
func (w *Watch) Look() (found Finding, err error) {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	now := w.before
	if found.Settled = w.ledger.active == 0; found.Settled {
		if now, err = w.counter.Read(); err != nil {
			return found, err
		}
	}
	found.Own, found.Commits = w.own > 0, now.Commits
	found.Foreign = now.Series != w.base.Series || now.Commits-w.base.Commits != w.own
	err, w.err = w.err, nil
	w.base, w.own = now, 0
	return found, err
}
