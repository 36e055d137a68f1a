package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/binderyhq/bindery/core/driver"
)

var cases = []*testCase{
	{"name", "a source has a name, and covers the tables that it is asked to watch", caseName},
	{"watching", "Watching is called as soon as every later commit is certain to be reported", caseWatching},
	{"insert", "an inserted row is reported once a fresh read can see it", caseWrite(Write{Kind: Insert, ID: 101, Value: 1})},
	{"update", "an updated row is reported once a fresh read can see it", caseWrite(Write{Kind: Update, ID: 1, Value: 7})},
	{"delete", "a deleted row is reported", caseWrite(Write{Kind: Delete, ID: 2})},
	{"insert and delete", "a row that comes, goes and comes again is reported each time", caseComeAndGo},
	{"several", "all rows of a commit are reported", caseWrite(
		Write{Kind: Insert, ID: 102, Value: 1}, Write{Kind: Update, ID: 1, Value: 7}, Write{Kind: Update, ID: 3, Value: 7}, Write{Kind: Delete, ID: 2})},
	{"keys", "a source reports rows by key, or whole tables, as it declares", caseKeys},
	{"key change", "when a row changes its key, the old key and the new one are reported", caseKeyChange},
	{"bulk", "statements that change many rows are seen, or are declared not to be", caseBulk},
	{"other processes", "what others write is seen, or is declared not to be", caseOutside},
	{"commit", "a transaction is reported when it is committed, even if it was open for long", caseCommit},
	{"rollback", "a rolled-back change may be reported but is never shown, and leaves no announcement open", caseRollback},
	{"announce", "a commit of several rows is announced before it is visible, and confirmed", caseAnnounce},
	{"catch up", "CatchUp returns when everything that the snapshot shows has been reported", caseCatchUp},
	{"start-up", "a commit during start-up is not lost: it is reported, or was visible when the source said Watching", caseStartUp},
	{"bound later", "a table that is bound while the source watches is watched from then on", caseBoundLater},
	{"depended on", "a table that is only depended on, and comes without columns and key, is watched as well", caseDependedOn},
	{"concurrent", "commits of many writers at once are all reported", caseConcurrent},
	{"link", "a source that lost its link says Lost, and Watching when it sees again; what happened between shows then", caseLink},
	{"cancelled start", "Watch returns when its context is done, also if it is from the start", caseCancelledStart},
	{"stop", "Watch returns when its context is done, and then nothing of the source runs or reports", caseStop},
	{"stop while waiting", "Watch returns although no receipt ends", caseStopWhileWaiting},
	{"again", "Watch may be called again after it has returned", caseAgain},
	{"start and stop", "starting and stopping at any moment leaves nothing behind", caseStartStop},
}

func caseName(_ context.Context, p *probe) error {
	var errs []error
	if strings.TrimSpace(p.source.Name()) == "" {
		errs = append(errs, errors.New("its name is empty"))
	}
	if len(p.h.Schemas()) == 0 {
		return errors.Join(append(errs, errors.New("the harness has no tables"))...)
	}
	if scoped, ok := p.source.(driver.Scoper); ok {
		for _, s := range p.h.Schemas() {
			if !scoped.Scope().Covers(s.Table) {
				errs = append(errs, fmt.Errorf("it does not cover table %q", s.Table))
			}
		}
	}
	return errors.Join(errs...)
}

func caseWatching(ctx context.Context, p *probe) error {
	_, err := p.startWatching(ctx)
	return err
}

// caseWrite makes writes in one commit, three times over where they can be
// repeated.
func caseWrite(writes ...Write) func(context.Context, *probe) error {
	return func(ctx context.Context, p *probe) error {
		if _, err := p.startWatching(ctx); err != nil {
			return err
		}
		before, err := p.sink.rows()
		if err != nil {
			return err
		}
		if err := p.write(ctx, "the write", writes...); err != nil {
			return err
		}
		after, err := p.sink.rows()
		if err != nil {
			return err
		}
		if n := len(differing(before[p.table()], after[p.table()])); n != len(writes) {
			return fmt.Errorf("the harness is wrong: %d writes have changed %d rows", len(writes), n)
		}
		return nil
	}
}

func caseComeAndGo(ctx context.Context, p *probe) error {
	if _, err := p.startWatching(ctx); err != nil {
		return err
	}
	for i := range 3 {
		if err := p.write(ctx, fmt.Sprintf("insert %d of the same row", i+1), Write{Kind: Insert, ID: 103, Value: i}); err != nil {
			return err
		}
		if err := p.write(ctx, fmt.Sprintf("delete %d of the same row", i+1), Write{Kind: Delete, ID: 103}); err != nil {
			return err
		}
	}
	return nil
}

func caseKeys(ctx context.Context, p *probe) error {
	if _, err := p.startWatching(ctx); err != nil {
		return err
	}
	for _, w := range []Write{{Kind: Update, ID: 1, Value: 3}, {Kind: Insert, ID: 104, Value: 1}, {Kind: Delete, ID: 104}} {
		mark := p.mark()
		if err := p.write(ctx, "an "+w.Kind.String(), w); err != nil {
			return err
		}
		got := p.reported(mark)
		switch {
		case p.can.Keys && p.wholesale(got):
			return fmt.Errorf("the source declares Keys, and reports a whole table after the %v of a row", w.Kind)
		case !p.can.Keys && p.byKey(got):
			return fmt.Errorf("the source reports the %v of a row by key: it should declare Keys", w.Kind)
		}
	}
	return nil
}

func caseKeyChange(ctx context.Context, p *probe) error {
	if !p.can.KeyChanges {
		return skipError{"the source declares no KeyChanges"}
	}
	if _, err := p.startWatching(ctx); err != nil {
		return err
	}
	return p.write(ctx, "a change of a key", Write{Kind: Rekey, ID: 1, To: 105})
}

// unseen checks that a source does not see what it declares not to see: a write
// of its own afterwards is reported, and what went before is not.
func (p *probe) unseen(ctx context.Context, what string, write func() error) error {
	if _, err := p.startWatching(ctx); err != nil {
		return err
	}
	before, err := p.sink.rows()
	if err != nil {
		return err
	}
	mark := p.mark()
	if err := write(); err != nil {
		return err
	}
	changed, err := p.sink.rows()
	if err != nil {
		return err
	}
	keys := differing(before[p.table()], changed[p.table()])
	if len(keys) == 0 {
		return errors.New("the harness is wrong: " + what + " changed nothing")
	}
	if err := p.h.Write(ctx, Write{Kind: Insert, ID: 106, Value: 1}); err != nil {
		return fmt.Errorf("the harness cannot insert: %w", err)
	}
	err = p.await(ctx, "an insert was not reported", func() (bool, error) { return len(p.reported(mark)) > 0, nil })
	if err != nil {
		return err
	}
	for _, c := range p.reported(mark) {
		if !concerns(c, p.table()) || isWhole(c) {
			continue // the insert may be reported so
		}
		for _, k := range c.Keys {
			for _, changed := range keys {
				if k == changed {
					return fmt.Errorf("the source has reported %s, and declares not to see it", what)
				}
			}
		}
	}
	return nil
}

func caseBulk(ctx context.Context, p *probe) error {
	b, ok := p.h.(Bulker)
	if !ok {
		if p.can.Bulk {
			return errors.New("the source declares Bulk, and the harness is no Bulker")
		}
		return skipError{"the harness is no Bulker"}
	}
	bulk := func() error {
		if err := b.Bulk(ctx, 5); err != nil {
			return fmt.Errorf("the harness cannot write in bulk: %w", err)
		}
		return nil
	}
	if !p.can.Bulk {
		return p.unseen(ctx, "a statement that changes many rows", bulk)
	}
	if _, err := p.startWatching(ctx); err != nil {
		return err
	}
	if err := bulk(); err != nil {
		return err
	}
	return p.converge(ctx, "a statement that changes many rows")
}

func caseOutside(ctx context.Context, p *probe) error {
	o, ok := p.h.(Outsider)
	if !ok {
		if p.can.OtherProcesses {
			return errors.New("the source declares OtherProcesses, and the harness is no Outsider")
		}
		return skipError{"the harness is no Outsider"}
	}
	outside := func(writes ...Write) error {
		if err := o.WriteOutside(ctx, writes...); err != nil {
			return fmt.Errorf("the harness cannot write outside: %w", err)
		}
		return nil
	}
	if !p.can.OtherProcesses {
		return p.unseen(ctx, "a write by somebody else", func() error { return outside(Write{Kind: Update, ID: 1, Value: 4}) })
	}
	if _, err := p.startWatching(ctx); err != nil {
		return err
	}
	for i, writes := range [][]Write{
		{{Kind: Update, ID: 1, Value: 4}}, {{Kind: Insert, ID: 107, Value: 1}, {Kind: Delete, ID: 2}}, {{Kind: Delete, ID: 107}},
	} {
		if err := outside(writes...); err != nil {
			return err
		}
		if err := p.converge(ctx, fmt.Sprintf("write %d by somebody else", i+1)); err != nil {
			return err
		}
		if err := p.write(ctx, "a write in between", Write{Kind: Update, ID: 3, Value: 10 + i}); err != nil {
			return err
		}
	}
	return nil
}

func (p *probe) begin(ctx context.Context, writes ...Write) (Tx, error) {
	t, ok := p.h.(Transactor)
	if !ok {
		return nil, skipError{"the harness is no Transactor"}
	}
	tx, err := t.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("the harness cannot begin a transaction: %w", err)
	}
	if err := tx.Write(ctx, writes...); err != nil {
		return nil, errors.Join(fmt.Errorf("the harness cannot write in a transaction: %w", err), tx.Rollback())
	}
	return tx, nil
}

func caseCommit(ctx context.Context, p *probe) error {
	if _, ok := p.h.(Transactor); !ok {
		return skipError{"the harness is no Transactor"}
	}
	if _, err := p.startWatching(ctx); err != nil {
		return err
	}
	tx, err := p.begin(ctx, Write{Kind: Update, ID: 1, Value: 5}, Write{Kind: Insert, ID: 108, Value: 5})
	if err != nil {
		return err
	}
	// Whatever is reported now is read now, and shows nothing yet.
	err = tx.Write(ctx, Write{Kind: Delete, ID: 2})
	if err != nil {
		return errors.Join(fmt.Errorf("the harness cannot write in a transaction: %w", err), tx.Rollback())
	}
	if err := p.converge(ctx, "writes that are not committed"); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("the harness cannot commit: %w", err)
	}
	return p.converge(ctx, "the commit")
}

func caseRollback(ctx context.Context, p *probe) error {
	if _, ok := p.h.(Transactor); !ok {
		return skipError{"the harness is no Transactor"}
	}
	if _, err := p.startWatching(ctx); err != nil {
		return err
	}
	for i := range 3 {
		tx, err := p.begin(ctx, Write{Kind: Update, ID: 1, Value: 5}, Write{Kind: Delete, ID: 2}, Write{Kind: Insert, ID: 109, Value: 5})
		if err != nil {
			return err
		}
		if err := tx.Rollback(); err != nil {
			return fmt.Errorf("the harness cannot roll back: %w", err)
		}
		if err := p.converge(ctx, "a rollback"); err != nil {
			return err
		}
		// The same rows again, so that nothing of the rollback hides them.
		if err := p.write(ctx, "a commit after a rollback", Write{Kind: Update, ID: 1, Value: 20 + i}); err != nil {
			return err
		}
	}
	return nil
}

func caseAnnounce(ctx context.Context, p *probe) error {
	if _, follows := p.source.(driver.Follower); follows && !p.can.WholeTransactions {
		return skipError{"the source catches up inside the read instead"}
	}
	if _, err := p.startWatching(ctx); err != nil {
		return err
	}
	before, err := p.sink.rows()
	if err != nil {
		return err
	}
	p.sink.mu.Lock()
	mark := len(p.sink.announced)
	p.sink.look = true
	p.sink.mu.Unlock()
	if err := p.write(ctx, "a commit of two rows", Write{Kind: Update, ID: 1, Value: 8}, Write{Kind: Update, ID: 3, Value: 8}); err != nil {
		return err
	}
	after, err := p.sink.rows()
	if err != nil {
		return err
	}
	p.sink.mu.Lock()
	announced := p.sink.announced[mark:]
	p.sink.mu.Unlock()
	table := p.table()
	early := announced[:0:0]
	for _, a := range announced {
		if a.rows == nil || maps.Equal(a.rows[table], before[table]) {
			early = append(early, a)
		}
	}
	missing := uncovered(table, differing(before[table], after[table]), early)
	switch {
	case p.can.WholeTransactions && missing != "":
		return fmt.Errorf("the source declares WholeTransactions, and has not announced %s before the commit was visible (%d announcements, %d of them before)",
			missing, len(announced), len(early))
	case !p.can.WholeTransactions && len(early) > 0 && missing == "":
		return errors.New("the source announces a commit of several rows before it is visible: it should declare WholeTransactions")
	}
	return nil
}

// uncovered names a key that none of the announcements covers; "" is none.
func uncovered(table driver.Table, keys []driver.Key, announced []announcement) string {
	for _, k := range keys {
		covered := false
		for _, a := range announced {
			for _, c := range a.changes {
				covered = covered || concerns(c, table) && (isWhole(c) || containsKey(c.Keys, k))
			}
		}
		if !covered {
			return "row " + k.String()
		}
	}
	return ""
}

func containsKey(keys []driver.Key, k driver.Key) bool {
	for _, o := range keys {
		if o == k {
			return true
		}
	}
	return false
}

func caseCatchUp(ctx context.Context, p *probe) error {
	f, ok := p.source.(driver.Follower)
	if !ok {
		return skipError{"the source does not follow the database's log"}
	}
	s, ok := p.h.(driver.Snapshotter)
	if !ok {
		return errors.New("the source is a driver.Follower, and the harness is no driver.Snapshotter")
	}
	if _, err := p.startWatching(ctx); err != nil {
		return err
	}
	for i := range 20 {
		if err := p.h.Write(ctx, Write{Kind: Update, ID: 1, Value: 30 + i}, Write{Kind: Update, ID: 3, Value: 30 + i}); err != nil {
			return fmt.Errorf("the harness cannot write: %w", err)
		}
		if err := p.catchUp(ctx, f, s); err != nil {
			return err
		}
	}
	return nil
}

func (p *probe) catchUp(ctx context.Context, f driver.Follower, s driver.Snapshotter) error {
	bounded, cancel := context.WithTimeout(ctx, p.within)
	defer cancel()
	snapshot, err := s.Snapshot(bounded)
	if err != nil {
		return fmt.Errorf("the harness cannot open a snapshot: %w", err)
	}
	defer snapshot.Close()
	if err := f.CatchUp(bounded, snapshot); err != nil {
		return fmt.Errorf("calling CatchUp: %w", err)
	}
	if behind, err := p.sink.behind(); err != nil || behind != "" {
		return errors.Join(err, fmt.Errorf("the call of CatchUp returned before everything that the snapshot shows was reported: %s", behind))
	}
	return nil
}

func caseStartUp(ctx context.Context, p *probe) error {
	for round := range 3 {
		stop := make(chan struct{})
		failed := make(chan error, 1)
		begun := make(chan struct{})
		wrote, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			begin := sync.OnceFunc(func() { close(begun) })
			for i := 0; ; i++ {
				if err := p.h.Write(ctx, Write{Kind: Update, ID: 1 + i%InitialRows, Value: 1000*round + i + 1}); err != nil {
					begin()
					failed <- fmt.Errorf("the harness cannot write: %w", err)
					return
				}
				begin()
				select {
				case <-stop:
					failed <- nil
					return
				case wrote <- struct{}{}:
				default:
				}
			}
		}()
		<-begun
		p.sink.mu.Lock()
		p.sink.watching = 0
		p.sink.mu.Unlock()
		w, err := p.startWatching(ctx)
		// A source that says Watching too early misses what is written right after that.
		// The second of two writes has begun by then.
		for range 2 {
			select {
			case <-wrote:
			case <-ended:
			}
		}
		close(stop)
		if err = errors.Join(err, <-failed); err != nil {
			return err
		}
		if err := p.converge(ctx, "writes while the source started"); err != nil {
			return err
		}
		if err := w.stop(); err != nil {
			return err
		}
	}
	return nil
}

func caseBoundLater(ctx context.Context, p *probe) error {
	w := p.start()
	if err := p.awaitWatching(ctx, w); err != nil {
		return err
	}
	// Nobody has bound the table: what is reported of it is dropped.
	if err := p.h.Write(ctx, Write{Kind: Update, ID: 1, Value: 11}); err != nil {
		return fmt.Errorf("the harness cannot write: %w", err)
	}
	p.sink.bind(p.h.Schemas())
	if err := p.write(ctx, "a write to a table that was bound just before", Write{Kind: Update, ID: 1, Value: 12}); err != nil {
		return err
	}
	return p.write(ctx, "an insert into a table that was bound later", Write{Kind: Insert, ID: 110, Value: 1})
}

func caseDependedOn(ctx context.Context, p *probe) error {
	var tables []driver.Schema
	for _, s := range p.h.Schemas() {
		tables = append(tables, driver.Schema{Table: s.Table})
	}
	p.sink.bind(tables)
	if err := p.awaitWatching(ctx, p.start()); err != nil {
		return err
	}
	for _, w := range []Write{{Kind: Insert, ID: 111, Value: 1}, {Kind: Update, ID: 1, Value: 13}, {Kind: Delete, ID: 2}} {
		if err := p.write(ctx, fmt.Sprintf("the %v of a row of a table that is only depended on", w.Kind), w); err != nil {
			return err
		}
	}
	return nil
}

func caseConcurrent(ctx context.Context, p *probe) error {
	if _, err := p.startWatching(ctx); err != nil {
		return err
	}
	const writers, writes = 4, 25
	seed := rand.Uint64()
	errs := make(chan error, writers)
	for w := range writers {
		go func() {
			r := rand.New(rand.NewPCG(seed, uint64(w))) //nolint:gosec // a test's choices
			own := map[int]bool{}                       // the rows of this writer that there are
			var err error
			for i := 0; i < writes && err == nil; i++ {
				id := 1000*(w+1) + r.IntN(10)
				shared := Write{Kind: Update, ID: 1 + r.IntN(InitialRows), Value: 100*i + w + 1}
				mine := Write{Kind: Insert, ID: id, Value: i}
				if own[id] {
					mine.Kind = []Kind{Update, Delete}[r.IntN(2)]
				}
				own[id] = mine.Kind != Delete
				err = p.h.Write(ctx, mine, shared)
			}
			errs <- err
		}()
	}
	var all []error
	for range writers {
		if err := <-errs; err != nil {
			all = append(all, fmt.Errorf("the harness cannot write: %w", err))
		}
	}
	if err := errors.Join(all...); err != nil {
		return err
	}
	return p.converge(ctx, fmt.Sprintf("writes of %d writers (seed %d)", writers, seed))
}
