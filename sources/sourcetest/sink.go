package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// follower is the sink that plays the engine: it reads what is reported, when
// it is reported.
type follower struct {
	h    Harness
	read time.Duration // bounds each read

	// following is held from a read until its rows are kept, so that an older
	// read cannot replace what a newer one brought.
	following sync.Mutex

	mu        sync.Mutex // guards what follows
	schemas   []driver.Schema
	changed   chan struct{}
	held      Rows
	news      chan struct{}   // closed when anything happens, then replaced
	changes   []driver.Change // everything reported or confirmed
	announced []announcement
	look      bool // read while a source announces
	open      int
	watching  int
	losses    []error
	stuck     chan struct{} // receipts do not end before it is closed; nil: at once
	over      bool          // Watch has returned
	wrong     []error
}

// lookFraction is the part of the patience that a read takes at most while a
// source announces.
const lookFraction = 20

// announcement is what was announced, and what the table held then: nil if that
// was not asked, or could not be read.
type announcement struct {
	changes []driver.Change
	rows    Rows
	ended   bool
}

var _ driver.Sink = (*follower)(nil)

func newFollower(h Harness, read time.Duration) *follower {
	return &follower{h: h, read: read, changed: make(chan struct{}), news: make(chan struct{}), held: Rows{}}
}

// bind binds the tables, and loads them.
func (f *follower) bind(schemas []driver.Schema) {
	f.mu.Lock()
	f.schemas = schemas
	close(f.changed)
	f.changed = make(chan struct{})
	f.mu.Unlock()
	f.load()
}

// load reads everything.
func (f *follower) load() { f.follow([]driver.Change{{}}) }

// Tables implements [driver.Sink].
func (f *follower) Tables() ([]driver.Schema, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.schemas), f.changed
}

// Report implements [driver.Sink].
func (f *follower) Report(changes ...driver.Change) driver.Receipt {
	f.called("Report")
	f.follow(own(changes))
	return f.receipt()
}

// Announce implements [driver.Sink].
func (f *follower) Announce(changes ...driver.Change) driver.Announcement {
	f.called("Announce")
	mine := own(changes)
	f.mu.Lock()
	look := f.look
	f.mu.Unlock()
	var rows Rows
	if look {
		ctx, cancel := context.WithTimeout(context.Background(), f.read/lookFraction)
		defer cancel()
		// Where a commit under way keeps all others from reading, it is not
		// visible; the error need not tell.
		rows, _ = f.h.Read(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.announced = append(f.announced, announcement{changes: mine, rows: rows})
	f.open++
	f.tellLocked()
	return &openAnnouncement{sink: f, index: len(f.announced) - 1}
}

// Watching implements [driver.Sink].
func (f *follower) Watching() {
	f.called("Watching")
	f.load()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watching++
	f.tellLocked()
}

// Lost implements [driver.Sink].
func (f *follower) Lost(err error) {
	f.called("Lost")
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.wrong = append(f.wrong, errors.New("Lost was called with a nil error"))
	}
	f.losses = append(f.losses, err)
	f.tellLocked()
}

func (f *follower) called(method string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		f.wrong = append(f.wrong, fmt.Errorf("the source called %s after Watch had returned", method))
	}
}

// end notes that Watch has returned, or is called again.
func (f *follower) end(over bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = over
	f.tellLocked()
}

func (f *follower) tellLocked() {
	close(f.news)
	f.news = make(chan struct{})
}

// own copies changes and overwrites the keys given, which are the sink's.
func own(changes []driver.Change) []driver.Change {
	out := slices.Clone(changes)
	for i := range out {
		out[i].Keys = slices.Clone(out[i].Keys)
		for j := range changes[i].Keys {
			changes[i].Keys[j] = "overwritten by sourcetest"
		}
	}
	return out
}

func (f *follower) rows() (Rows, error) {
	ctx, cancel := context.WithTimeout(context.Background(), f.read)
	defer cancel()
	rows, err := f.h.Read(ctx)
	if err != nil {
		err = fmt.Errorf("the harness cannot read: %w", err)
	}
	return rows, err
}

// follow reads what was reported.
func (f *follower) follow(changes []driver.Change) {
	f.following.Lock()
	defer f.following.Unlock()
	rows, err := f.rows()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes = append(f.changes, changes...)
	f.tellLocked()
	if err != nil {
		f.wrong = append(f.wrong, err)
		return
	}
	for _, c := range changes {
		for i := range f.schemas {
			if t := f.schemas[i].Table; concerns(c, t) {
				if len(f.schemas[i].Key) == 0 && len(c.Keys) > 0 {
					c.Keys = nil // of a table without a key any report is of the whole
				}
				f.keepLocked(t, c, rows[t])
			}
		}
	}
}

// concerns reports whether the change is one of the table.
func concerns(c driver.Change, t driver.Table) bool {
	return c.Table == t || c.Table.Name == "" && c.Table.Database == t.Database
}

func (f *follower) keepLocked(t driver.Table, c driver.Change, rows map[driver.Key]string) {
	if isWhole(c) {
		f.held[t] = maps.Clone(rows)
		return
	}
	if f.held[t] == nil {
		f.held[t] = map[driver.Key]string{}
	}
	for _, k := range c.Keys {
		if row, ok := rows[k]; ok {
			f.held[t][k] = row
		} else {
			delete(f.held[t], k)
		}
	}
}

func isWhole(c driver.Change) bool { return c.Keys == nil || c.Table.Name == "" }

// behind says where what is kept differs from the tables; "" is nowhere.
func (f *follower) behind() (string, error) {
	rows, err := f.rows()
	if err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for i := range f.schemas {
		t := f.schemas[i].Table
		for _, k := range differing(f.held[t], rows[t]) {
			was, held := f.held[t][k]
			is, there := rows[t][k]
			out = append(out, fmt.Sprintf("row %v of table %v is %s, and was %s at the last report of it", k, t, shown(is, there), shown(was, held)))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; "), nil
}

func shown(row string, ok bool) string {
	if !ok {
		return "absent"
	}
	return fmt.Sprintf("%q", row)
}

// differing returns the keys whose rows differ, sorted.
func differing(a, b map[driver.Key]string) []driver.Key {
	var out []driver.Key
	for k, row := range a {
		if other, ok := b[k]; !ok || other != row {
			out = append(out, k)
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// violations returns what the source did that it must never do.
func (f *follower) violations() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.wrong...)
}

// openAnnouncement implements [driver.Announcement].
type openAnnouncement struct {
	sink  *follower
	index int
	once  sync.Once
}

func (a *openAnnouncement) Confirm(changes ...driver.Change) driver.Receipt {
	a.once.Do(func() {
		changes = own(changes)
		if len(changes) == 0 {
			a.sink.mu.Lock()
			changes = a.sink.announced[a.index].changes
			a.sink.mu.Unlock()
		}
		a.sink.follow(changes)
		a.end()
	})
	return a.sink.receipt()
}

func (a *openAnnouncement) Withdraw() { a.once.Do(a.end) }

func (a *openAnnouncement) end() {
	a.sink.mu.Lock()
	defer a.sink.mu.Unlock()
	a.sink.announced[a.index].ended = true
	a.sink.open--
	a.sink.tellLocked()
}

// receipt returns a receipt of what the follower holds already.
func (f *follower) receipt() driver.Receipt {
	f.mu.Lock()
	defer f.mu.Unlock()
	return receipt{stuck: f.stuck}
}

type receipt struct{ stuck chan struct{} }

func (r receipt) Wait(ctx context.Context) error {
	if r.stuck == nil {
		return nil
	}
	select {
	case <-r.stuck:
		return live.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}
