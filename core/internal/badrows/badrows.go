// Package badrows finds the rows because of which a read by key fails. It knows nothing of
// loaders: it tries to read fewer and fewer keys.
//
// A read may fail because of a row, or because the database does not answer. Only the
// first is the row's fault, so a search says as well whether the database was there.
package badrows

import (
	"context"
	"math/bits"

	"github.com/binderyhq/bindery/core/driver"
)

// Load tries to read the rows of the keys. Its error may name rows, see
// [driver.RowErrors].
type Load func(ctx context.Context, keys []driver.Key) error

// MaxFailures bounds the reads that fail during one search; beyond it all rows that are
// left count as unreadable.
const MaxFailures = 256

// Find returns the keys whose rows cannot be read, with the reason for each, and whether
// the database is there: if not, no row is to blame. there says that it is known to be.
// When it is not, Find gives up after some failures without an answer, twice as many as
// halvings lead to a single key.
func Find(ctx context.Context, load Load, keys []driver.Key, there bool) (bad map[driver.Key]error, isThere bool) {
	s := &search{ctx: ctx, load: load, bad: make(map[driver.Key]error), there: there, stop: 2*bits.Len(uint(len(keys))) + 2}
	s.halve(keys)
	return s.bad, s.there && ctx.Err() == nil
}

type search struct {
	ctx    context.Context
	load   Load
	bad    map[driver.Key]error
	there  bool // the database answers
	failed int
	stop   int // so many failures, and no answer, mean that it does not
}

func (s *search) halve(keys []driver.Key) {
	if len(keys) == 0 || !s.there && s.failed >= s.stop {
		return
	}
	err := s.load(s.ctx, keys)
	if err == nil {
		s.there = true
		return
	}
	if rows := driver.RowErrors(err); rows != nil {
		s.there = true
		for _, e := range rows {
			s.bad[e.Key] = e.Err
		}
		return
	}
	s.failed++
	if len(keys) == 1 || s.failed > MaxFailures {
		for _, k := range keys {
			s.bad[k] = err
		}
		return
	}
	half := len(keys) / 2
	s.halve(keys[:half])
	s.halve(keys[half:])
}

// Probes is how many rows are tried to find out whether the database answers.
const Probes = 3

// Answers reports whether the database answers a read of one of the keys, whose rows
// could be read before. An error that names rows is an answer.
func Answers(ctx context.Context, load Load, keys []driver.Key) bool {
	for _, key := range keys {
		if err := load(ctx, []driver.Key{key}); err == nil || driver.RowErrors(err) != nil {
			return true
		}
	}
	return false
}
