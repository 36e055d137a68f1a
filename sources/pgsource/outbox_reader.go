package pgsource

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/binderyhq/bindery/sources/internal/rowlog"
	"github.com/jackc/pgx/v5/pgconn"
)

// outboxReader reads the records of transactions that became visible since its last
// read. It has no position in the outbox, because records are not in the order in
// which their transactions commit. Instead it keeps its last snapshot, and looks for
// records of transactions that were invisible in it. It is used by one goroutine at a
// time.
type outboxReader struct {
	conn    *pgconn.PgConn
	schema  string // quoted
	maxKeys int

	last       snapshot // everything visible in it has been reported
	generation int64    // of the captures
	lapses     int64    // how often credit had run out
	used       int64    // of the credit
	lapsed     bool     // it has run out, and new credit was not given yet
	// Transactions with lower ids may have made no records.
	below uint64
}

// outboxState is the outbox's state, which each read returns beside records.
type outboxState struct {
	Snapshot   string  `json:"snapshot"`
	Floor      string  `json:"floor"`
	Generation int64   `json:"generation"`
	Gauge      []int64 `json:"gauge"`
}

// stateQuery is a query, and the beginning of readQuery. It returns the statement's
// snapshot. Everything else is read in that snapshot, except the gauge, which may be
// newer.
const stateQuery = `
SELECT 0 AS capture, json_build_object('snapshot', pg_current_snapshot()::text, 'floor', floor::text,
	'generation', generation, 'gauge', %[1]s.gauge())::text AS keys
FROM %[1]s.settings`

// readQuery takes the xmax of the last snapshot and the transactions that were running
// in it. These, and all from xmax on, were invisible in it.
const readQuery = stateQuery + `
UNION ALL SELECT capture, to_json(keys)::text FROM %[1]s.outbox
	WHERE xid >= $1::xid8 AND pg_visible_in_snapshot(xid, pg_current_snapshot())
UNION ALL SELECT capture, to_json(keys)::text FROM %[1]s.outbox
	WHERE xid = ANY ($2::xid8[])`

// begin makes the reader start from now.
func (r *outboxReader) begin(ctx context.Context) error {
	// The order matters. Transactions that began to write before there was credit
	// have lower ids than the credit's own transaction. Those that have ended are
	// in the snapshot; the reader notices when the others end.
	r.lapsed = true
	if err := r.attend(ctx); err != nil {
		return err
	}
	rows, err := query(ctx, r.conn, fmt.Sprintf(stateQuery, r.schema))
	if err != nil {
		return err
	}
	if len(rows) != 1 {
		return errNoSettings
	}
	var state outboxState
	if err := json.Unmarshal([]byte(rows[0][1]), &state); err != nil {
		return err
	}
	r.generation = state.Generation
	r.last, err = parseSnapshot(state.Snapshot)
	return err
}

// attend renews the triggers' credit when it is due.
func (r *outboxReader) attend(ctx context.Context) error {
	if !r.lapsed && r.used <= outboxCredit/4 {
		return nil
	}
	rows, err := query(ctx, r.conn, fmt.Sprintf("SELECT lapsed::text, below::text FROM %s.attend()", r.schema))
	if err != nil {
		return fmt.Errorf("giving credit: %w", err)
	}
	lapses, err := strconv.ParseInt(rows[0][0], 10, 64)
	if err != nil {
		return err
	}
	below, err := strconv.ParseUint(rows[0][1], 10, 64)
	if err != nil {
		return err
	}
	if r.lapsed || lapses != r.lapses {
		r.below = below
	}
	r.lapses, r.used, r.lapsed = lapses, 0, false
	return nil
}

// read returns the changes that have become visible since the last call, and whether
// the captures have changed meanwhile. It loads the routes after it has taken
// the snapshot: a table whose routes are added later is then read in full, and that
// read shows at least what the snapshot shows.
func (r *outboxReader) read(ctx context.Context, routes *atomic.Pointer[captureRoutes]) (all rowlog.Changes, moved bool, err error) {
	result := r.conn.ExecParams(ctx, fmt.Sprintf(readQuery, r.schema), [][]byte{
		strconv.AppendUint(nil, r.last.xmax, 10), []byte(idArray(r.last.running)),
	}, nil, nil, nil)
	all = make(rowlog.Changes)
	var by *captureRoutes
	var state *outboxState
	var problem error
	for result.NextRow() {
		if by == nil {
			by = routes.Load()
		}
		values := result.Values()
		capture, keys := string(values[0]), values[1]
		switch {
		case problem != nil: // the rest of the answer is of no use
		case capture == "0":
			state = new(outboxState)
			problem = json.Unmarshal(keys, state)
		default:
			problem = by.add(all, capture, keys, r.maxKeys)
		}
	}
	if _, err := result.Close(); err != nil {
		return nil, false, err
	}
	switch {
	case problem != nil:
		return nil, false, problem
	case state == nil || len(state.Gauge) != 2:
		return nil, false, errNoSettings
	}
	now, err := parseSnapshot(state.Snapshot)
	if err != nil {
		return nil, false, err
	}
	below, err := strconv.ParseUint(state.Floor, 10, 64)
	if err != nil {
		return nil, false, err
	}
	if below > now.xmax { // it is another server's, from before a restore
		below = 0
	}
	r.used = state.Gauge[0]
	if r.used > outboxCredit/2 || state.Gauge[1] != r.lapses {
		r.lapsed = true
	}
	if r.lapsed || now.endedSince(&r.last, max(below, r.below)) {
		by.setWhole(all)
	}
	moved = state.Generation != r.generation
	r.generation, r.last = state.Generation, now
	return all, moved, nil
}

// idArray returns the ids as the text of an array.
func idArray(ids []uint64) string {
	var b strings.Builder
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatUint(id, 10))
	}
	return "{" + b.String() + "}"
}
