// Package badrows finds the rows that make a read by key fail. It knows nothing of
// loaders: it reads halves of the keys until the culprits are alone.
//
// A read may also fail because the database does not answer. So a search reports whether
// the database did.
package badrows

import (
	"context"
	"math/bits"

	"github.com/binderyhq/bindery/core/driver"
)

// Load tries to read the rows with the keys. Its error may name rows, see
// [driver.RowErrors].
type Load func(ctx context.Context, keys []driver.Key) error

// MaxFailures bounds the failed reads of one search. Beyond it, all rows of a further failed
// read count as unreadable.
const MaxFailures = 256

// Find returns the errors of the rows that cannot be read, by key. isThere reports whether
// the database answers: if not, no row is to blame. there says that it is known to answer.
// Otherwise Find gives up after a number of failures without an answer, about twice as many
// as it takes halvings to get to a single key.
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
	stop   int // after this many failures without an answer, the database counts as away
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

// Probes is how many rows to try to find out whether the database answers.
const Probes = 3

// Answers reports whether the database answers a read of one of the keys, whose rows should
// be readable. An error that names rows is an answer.
func Answers(ctx context.Context, load Load, keys []driver.Key) bool {
	for _, key := range keys {
		if err := load(ctx, []driver.Key{key}); err == nil || driver.RowErrors(err) != nil {
			return true
		}
	}
	return false
}
