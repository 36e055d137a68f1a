package backlog

import "github.com/binderyhq/bindery/core/driver"

// Journal remembers what the last batches of a feed have read, so that whoever
// missed some of them can be given just those rows. It holds keys up to a bound;
// beyond it the oldest batches go. Numbers count batches.
type Journal struct {
	MaxKeys int
	first   uint64 // the number of batches[0]
	batches []journalEntry
	keys    int
}

type journalEntry struct {
	keys  []driver.Key
	whole bool
}

// Next is the number of the batch that comes next.
func (j *Journal) Next() uint64 { return j.first + uint64(len(j.batches)) }

// Add notes what a batch has read.
func (j *Journal) Add(keys []driver.Key, whole bool) {
	if whole {
		keys = nil
	}
	j.batches = append(j.batches, journalEntry{keys, whole})
	j.keys += len(keys)
	for len(j.batches) > 0 && (j.keys > j.MaxKeys || len(j.batches) > j.MaxKeys) {
		j.keys -= len(j.batches[0].keys)
		j.batches[0] = journalEntry{}
		j.batches = j.batches[1:]
		j.first++
	}
}

// Since returns the keys that the batches from the number on have read; false
// when they are not known, or were all.
func (j *Journal) Since(number uint64) ([]driver.Key, bool) {
	if number < j.first {
		return nil, false
	}
	var keys []driver.Key
	for _, b := range j.batches[min(number-j.first, uint64(len(j.batches))):] {
		if b.whole {
			return nil, false
		}
		keys = append(keys, b.keys...)
	}
	return keys, true
}

// Forget drops everything; nobody needs it.
func (j *Journal) Forget() {
	j.first, j.batches, j.keys = j.Next(), nil, 0
}
