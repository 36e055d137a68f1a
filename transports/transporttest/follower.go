package transporttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"

	"github.com/binderyhq/bindery/core/value"
)

// follower is a client that applies its messages, and reports every broken promise.
type follower struct {
	r       *rig
	binding string
	params  map[string]string
	several map[string][]string // parameters that have several values
	who     string              // the principal, "" for none
	may     func(item) bool     // whether it may be shown a row; nil for all rows
	client  Client              // nil while not connected

	rows    map[int]string // compact JSON by id
	version string         // of rows, "" before the first batch
	at      int            // position of version in the history, -1 before the first batch
	pending []Message      // of the batch under way

	marked string // the last mark that was answered

	first                   bool // the next batch is the first of the connection
	syncs, changes, current int  // batches
	bytes                   int  // of rows received
}

func (r *rig) newFollower(binding string) *follower {
	return &follower{r: r, binding: binding, at: -1}
}

// follow connects a new client and takes the first batch.
func (r *rig) follow(ctx context.Context, binding string) (*follower, error) {
	f := r.newFollower(binding)
	if err := f.connect(ctx); err != nil {
		return nil, err
	}
	return f, f.batch(ctx)
}

// connect connects, or reconnects with the version that it has. It drops an incomplete
// batch, as a lost connection does.
func (f *follower) connect(ctx context.Context) (err error) {
	f.drop()
	f.client, err = f.r.connectTo(ctx, Request{Binding: f.binding, Params: f.params, Repeated: f.several, Version: f.version, Principal: f.who})
	f.first = true
	return err
}

// drop disconnects without a goodbye.
func (f *follower) drop() {
	f.pending = nil
	if f.client != nil {
		f.client.Close()
		f.client = nil
	}
}

// message takes one message; complete says that it ended a batch. The error is [io.EOF]
// if the connection ended between batches.
func (f *follower) message(ctx context.Context) (complete bool, err error) {
	if f.client == nil {
		return false, errors.New("the client is not connected")
	}
	m, err := f.client.Next(ctx)
	switch {
	case errors.Is(err, io.EOF) && len(f.pending) > 0:
		return false, fmt.Errorf("the connection has ended in the middle of a batch, after %d messages", len(f.pending))
	case errors.Is(err, io.EOF):
		return false, io.EOF
	case err != nil:
		return false, &brokenError{f.binding, len(f.pending), err}
	}
	if m.Action == Marked {
		if len(f.pending) > 0 || m.Version != f.version {
			return false, fmt.Errorf("a mark is answered at version %q, %d messages into a batch, and the client has %q", m.Version, len(f.pending), f.version)
		}
		f.marked = m.Mark
		return false, nil
	}
	for _, row := range m.Rows {
		f.bytes += len(row)
		if err := f.mayBeShown(m.Action, row); err != nil {
			return false, err
		}
	}
	f.pending = append(f.pending, m)
	if m.More {
		return false, nil
	}
	batch := f.pending
	f.pending = nil
	if err := f.apply(ctx, batch); err != nil {
		return false, fmt.Errorf("a batch of %q: %w", f.binding, err)
	}
	return true, nil
}

// mayBeShown checks every row that arrives, even if it is not applied.
func (f *follower) mayBeShown(action Action, raw json.RawMessage) error {
	if f.may == nil || action == Delete {
		return nil // a delete shows the key of a row that the client has
	}
	it, err := itemOf(raw)
	if err != nil {
		return err
	}
	if !f.may(it) {
		return fmt.Errorf("%q was shown %.200s of %q, which is not for it", f.who, raw, f.binding)
	}
	return nil
}

// brokenError says that a connection did not end in good order.
type brokenError struct {
	binding string
	pending int // messages of a batch that was under way
	err     error
}

func (e *brokenError) Error() string {
	var where string
	if e.pending > 0 {
		where = fmt.Sprintf(", in the middle of a batch, after %d messages", e.pending)
	}
	switch {
	case errors.Is(e.err, context.DeadlineExceeded), errors.Is(e.err, context.Canceled):
		return fmt.Sprintf("no message of %q has come in time%s, and the connection has not ended: %v", e.binding, where, e.err)
	case knownError(e.err):
		return fmt.Sprintf("waiting for a message of %q%s: %v", e.binding, where, e.err)
	default:
		return fmt.Sprintf("the connection of %q was cut off%s: Client.Next returned %q (%T), and an end in good order is io.EOF: "+
			"either the transport did not end its stream (the last chunk, a close frame), or the client does not tell that it did",
			e.binding, where, e.err, e.err)
	}
}

// knownError reports whether an error is one that this package defines.
func knownError(err error) bool {
	for _, known := range []error{ErrRefused, ErrUnavailable, ErrForbidden, ErrUnauthenticated, ErrUnsupported} {
		if errors.Is(err, known) {
			return true
		}
	}
	var parameter *ParameterError
	return errors.As(err, &parameter)
}

func (e *brokenError) Unwrap() error { return e.err }

// batch takes messages up to the end of a batch.
func (f *follower) batch(ctx context.Context) error {
	for {
		if done, err := f.message(ctx); done || err != nil {
			return unexpectedEnd(err)
		}
	}
}

// anyMessage takes one message.
func (f *follower) anyMessage(ctx context.Context) error {
	_, err := f.message(ctx)
	return unexpectedEnd(err)
}

// until takes batches up to the version.
func (f *follower) until(ctx context.Context, version string) error {
	for f.version != version || len(f.pending) > 0 {
		if err := f.batch(ctx); err != nil {
			return fmt.Errorf("on the way to version %s: %w", version, err)
		}
	}
	return nil
}

// untilShows takes batches until the client holds all rows of the table that it may be
// shown.
func (f *follower) untilShows(ctx context.Context) error {
	for {
		want := make(map[int]item)
		for _, it := range f.r.table.Rows() {
			if f.may(it) {
				want[it.ID] = it
			}
		}
		got := make(map[int]item)
		for id, text := range f.rows {
			it, err := itemOf(json.RawMessage(text))
			if err != nil {
				return err
			}
			got[id] = it
		}
		if f.version != "" && len(f.pending) == 0 && maps.Equal(got, want) {
			return nil
		}
		if err := f.batch(ctx); err != nil {
			return fmt.Errorf("%q has %d rows of %q, and should come to have %d: %w", f.who, len(got), f.binding, len(want), err)
		}
	}
}

// toTheEnd takes messages until the connection ends in good order.
func (f *follower) toTheEnd(ctx context.Context) error {
	for {
		if _, err := f.message(ctx); err != nil {
			return ignoreEnd(err)
		}
	}
}

func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func unexpectedEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the connection has ended")
	}
	return err
}

// apply applies a batch and compares the result with what the binding held.
func (f *follower) apply(ctx context.Context, batch []Message) error {
	version := batch[len(batch)-1].Version
	if version == "" {
		return errors.New("its last message has no version")
	}
	for _, m := range batch {
		if m.Version != "" && m.Version != version {
			return fmt.Errorf("it leads to version %s and to version %s", m.Version, version)
		}
	}
	first := f.first
	f.first = false
	from := f.at + 1 // a change leads on; a sync or a confirmation may stay
	switch kind := batch[0].Action; {
	case kind == Current:
		if version != f.version || len(batch) > 1 || len(batch[0].Rows) > 0 {
			return fmt.Errorf("it says that version %s is current; the client has %q", version, f.version)
		}
		if !f.r.can.Resumes && first {
			return errors.New("a client that came back was told that it is current: Abilities.Resumes is not declared")
		}
		f.current++
		return nil
	case kind == Sync:
		from = f.at
		if err := f.replace(batch); err != nil {
			return err
		}
		f.syncs++
	case f.version == "":
		return fmt.Errorf("the first is a %s", kind)
	case !f.r.can.Deltas:
		return fmt.Errorf("it is a %s: Abilities.Deltas is not declared", kind)
	default:
		if err := f.change(batch); err != nil {
			return err
		}
		f.changes++
	}
	f.version = version
	return f.compare(ctx, from)
}

func (f *follower) replace(batch []Message) error {
	f.rows = make(map[int]string)
	for _, m := range batch {
		if m.Action != Sync && m.Action != Put {
			return fmt.Errorf("a %s within a sync", m.Action)
		}
		for _, raw := range m.Rows {
			id, text, err := decode(raw)
			if err != nil {
				return err
			}
			if _, twice := f.rows[id]; twice {
				return fmt.Errorf("row %d is twice in a sync", id)
			}
			f.rows[id] = text
		}
	}
	return nil
}

func (f *follower) change(batch []Message) error {
	rows := maps.Clone(f.rows)
	seen := make(map[int]bool)
	for _, m := range batch {
		for _, raw := range m.Rows {
			id, text, err := decode(raw)
			if err != nil {
				return err
			}
			if seen[id] {
				return fmt.Errorf("row %d is twice in a batch", id)
			}
			seen[id] = true
			_, have := rows[id]
			switch {
			case m.Action == Delete && have:
				if !sameJSON(text, fmt.Sprintf(`{"id":%d}`, id)) {
					return fmt.Errorf("a delete shows %.200s, more than the key", text)
				}
				delete(rows, id)
			case m.Action == Put, m.Action == Create && !have, m.Action == Update && have:
				rows[id] = text
			default:
				return fmt.Errorf("a %s of row %d, which the client has: %t", m.Action, id, have)
			}
		}
	}
	f.rows = rows
	return nil
}

// compare compares the client's rows with the binding's at that version. It looks for
// the version from the position on.
func (f *follower) compare(ctx context.Context, from int) error {
	at, snap, ok := f.r.history.find(f.binding, f.version, from)
	if !ok {
		// Plugins see a version a moment after subscribers do, but no later than the
		// end of Flush or of the registry.
		_ = f.r.reg.Flush(ctx)
		at, snap, ok = f.r.history.find(f.binding, f.version, from)
	}
	if !ok {
		return fmt.Errorf("version %s is none that the binding has had since the client's last: repeated, out of order, or unknown", f.version)
	}
	f.at = at
	if len(f.rows) != snap.Len() {
		return fmt.Errorf("at version %s the client has %d rows, the binding had %d", f.version, len(f.rows), snap.Len())
	}
	for r := range snap.Rows() {
		id, want, err := f.r.history.decode(r)
		if err != nil {
			return err
		}
		if got, ok := f.rows[id]; !sameJSON(got, want) {
			return fmt.Errorf("at version %s the client has of row %d (%t): %.200s; the binding had %.200s", f.version, id, ok, got, want)
		}
	}
	return nil
}

// decode returns a row's id, and its JSON.
func decode(raw json.RawMessage) (id int, text string, err error) {
	it, err := itemOf(raw)
	return it.ID, string(raw), err
}

// itemOf reads a row, whose id may be written as JSON allows: 7 as 7.0.
func itemOf(raw json.RawMessage) (it item, err error) {
	var row struct {
		item
		ID json.Number `json:"id"`
	}
	if err := json.Unmarshal(raw, &row); err != nil || row.ID == "" {
		return it, fmt.Errorf("%.200q is no row: %w", raw, errors.Join(err, errors.New("a row has an id")))
	}
	v, err := value.Parse(value.KindDecimal, row.ID.String())
	if err == nil {
		v, err = value.Convert(v, value.KindInt)
	}
	if err != nil {
		return it, fmt.Errorf("%.200q is no row: its id: %w", raw, err)
	}
	it = row.item
	it.ID = int(v.Any().(int64))
	return it, nil
}
