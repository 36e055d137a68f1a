package sqlitefile

import "sync"

// Ledger counts the commits of a pool of connections. The zero value is ready to
// use, and costs next to nothing while nobody watches. Its methods may be called
// from any goroutine.
type Ledger struct {
	mu      sync.Mutex        // guards what follows
	active  int               // commits under way
	made    map[string]uint32 // commits that wrote, by schema, since somebody was the first of active
	watches map[*Watch]struct{}
}

// Begin says that a statement or a commit begins by which the pool may commit.
// Every Begin is followed by one End.
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

// End says that it is over, and which schemas it has written to for certain:
// "main", or the names of attached databases. A commit that is not certain to have
// been made, or to have changed a row, is left out: it is then taken for
// somebody else's, which costs a comparison, whereas one too many would hide
// somebody else's.
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
	ledger  *Ledger // nil: nobody's commits are known
	schema  string
	counter *Counter
	alarm   func()

	// The ledger's mutex guards what follows.
	base   Reading // up to here everything is told
	before Reading // when the commits under way began
	own    uint32  // commits of the pool since base
	err    error   // of a reading, since base
}

// NewWatch begins to watch: Look reports what others commit to the file from now
// on. schema is the name by which the ledger's connections know the file. alarm is
// called, from any goroutine and without a lock, when a commit of the pool shows
// that somebody else has committed; it must not block. With a nil ledger all commits
// count as those of others.
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

// close takes what the counter has moved by for the pool's own commits, but for
// what is more than these.
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

// Finding is what has been committed to a file since it was asked for last.
type Finding struct {
	// Foreign says that somebody else has committed, Own that the pool has.
	Foreign, Own bool
	// Settled is false while a commit of the pool is under way. Then a later Look
	// reports what others have committed beside it.
	Settled bool
	// Commits is the count up to which it was looked, see [Reading.Commits].
	Commits uint32
}

// Look returns what has been committed since it was called last. An error says
// that the files could not be read: then anything may have been committed.
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
