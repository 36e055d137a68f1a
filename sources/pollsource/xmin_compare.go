package pollsource

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
)

// compare finds the rows that were written since the look before, and whether any
// have gone.
func (w *xminWatcher) compare(ctx context.Context, tx *sql.Tx) (finding, error) {
	var rows int64
	var text string
	if err := tx.QueryRowContext(ctx, w.sums).Scan(&rows, &text); err != nil {
		return finding{}, err
	}
	sum, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return finding{}, fmt.Errorf("a sum of hashes is %q", text)
	}
	more, moved := rows-w.rows, sum
	if w.sum != nil {
		moved = new(big.Int).Sub(sum, w.sum)
	}
	first := w.snapshot == ""
	w.rows, w.sum = rows, sum
	if first {
		return finding{}, w.begin(ctx, tx)
	}
	recent, err := w.written(ctx, tx)
	if err != nil || w.hopeless {
		return finding{}, err
	}
	switch {
	case w.seen != nil && rows > int64(w.maxRows):
		w.seen = nil
	case w.seen == nil && rows <= int64(w.maxRows/2) && (len(recent) > maxRecent || !w.explained(recent, more, moved)):
		// Half, so that a table at the bound does not go back and forth.
		return finding{whole: true, changed: true}, w.begin(ctx, tx)
	}
	if len(recent) > maxRecent || !w.explained(recent, more, moved) {
		if w.seen == nil {
			w.repeat = nil
			return finding{whole: true, changed: true}, nil
		}
		keys, ok, err := w.scan(ctx, tx)
		if err != nil {
			return finding{}, err
		}
		if !ok {
			return finding{whole: true, changed: true}, nil
		}
		return finding{keys: keys, changed: len(keys) > 0}, nil
	}
	keys := w.news(recent)
	return finding{keys: keys, changed: len(keys) > 0}, nil
}

// begin remembers all keys, unless there are too many.
func (w *xminWatcher) begin(ctx context.Context, tx *sql.Tx) error {
	w.seen, w.repeat = nil, nil
	if w.rows > int64(w.maxRows) {
		return nil
	}
	_, _, err := w.scan(ctx, tx)
	return err
}

// written reads the rows that were written since the look before, and some that
// were written shortly before it.
func (w *xminWatcher) written(ctx context.Context, tx *sql.Tx) (recent []changed, err error) {
	oldest, _, _ := strings.Cut(w.snapshot, ":") // of the transactions that it did not show
	id, err := strconv.ParseUint(oldest, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("the snapshot %q: %w", w.snapshot, err)
	}
	args := []any{strconv.FormatUint(id&math.MaxUint32, 10)}
	err = readKeys(ctx, tx, &w.schema, w.recent, args, 2, func(key driver.Key, known bool, others []any) {
		xmin, isInt := others[0].(int64)
		hash, isHash := others[1].(int64)
		if !known || !isInt || !isHash {
			w.hopeless = true
			return
		}
		recent = append(recent, changed{key, uint32(xmin), hash}) //nolint:gosec // an xid has 32 bits
	})
	return recent, err
}

// maxGuess bounds the rows among which explained guesses the new ones.
const maxGuess = 12

// explained reports whether the written rows alone account for the changes of count
// and sum, so that no row is gone.
func (w *xminWatcher) explained(recent []changed, more int64, moved *big.Int) bool {
	if len(recent) > maxRecent {
		return false
	}
	sumOf := func(keep func(int) bool) (n int64, sum *big.Int) {
		sum = new(big.Int)
		for i, r := range recent {
			if keep(i) {
				n++
				sum.Add(sum, big.NewInt(r.hash))
			}
		}
		return n, sum
	}
	fits := func(keep func(int) bool) bool {
		n, sum := sumOf(keep)
		return n == more && sum.Cmp(moved) == 0
	}
	if w.seen != nil { // the new ones are known
		return fits(func(i int) bool { _, old := w.seen[recent[i].key]; return !old })
	}
	if fits(func(int) bool { return false }) || fits(func(int) bool { return true }) {
		return true
	}
	if len(recent) > maxGuess {
		return false
	}
	for set := range 1 << len(recent) {
		if bits.OnesCount(uint(set)) == int(more) && fits(func(i int) bool { return set&(1<<i) != 0 }) { //nolint:gosec // of few bits
			return true
		}
	}
	return false
}

// news returns the keys of the rows that were not found before, and remembers them.
func (w *xminWatcher) news(recent []changed) []driver.Key {
	keys := make([]driver.Key, 0, len(recent))
	found := make(map[driver.Key]uint32, len(recent))
	for _, r := range recent {
		found[r.key] = r.xmin
		if w.seen == nil {
			if xmin, again := w.repeat[r.key]; !again || xmin != r.xmin {
				keys = append(keys, r.key)
			}
			continue
		}
		if was, again := w.seen[r.key]; !again || was.xmin != r.xmin {
			keys = append(keys, r.key)
		}
		w.seen[r.key] = version{r.xmin, w.round}
	}
	if w.repeat = nil; w.seen == nil {
		w.repeat = found
	}
	return slices.Clip(keys)
}
