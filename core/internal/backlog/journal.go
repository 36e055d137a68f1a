package backlog

import (
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// Journal remembers the last batch that has read each key, for reads that run beside the
// batches. Such a read can find out which keys later batches have read, and which of its
// rows are outdated. Batches are numbered from 1.
//
// A batch reads some keys for all loaders of the feed, and others for one loader alone.
// Beyond MaxKeys keys and members, and while no read runs beside the batches, the journal
// forgets everything.
type Journal struct {
	MaxKeys int

	from     uint64 // the first batch that is remembered
	keys     map[driver.Key]uint64
	byLoader map[any]*loaderJournal
	whole    uint64 // the last batch that has read the whole table
	members  map[*rowset.Member]uint64
	compared map[driver.Key]uint64
	size     int // of all maps of keys and members together
	bytes    int // of the keys
}

// loaderJournal is the journal of one loader's own reads.
type loaderJournal struct {
	keys  map[driver.Key]uint64
	whole uint64 // the last batch that has read all rows of the loader
}

// Read is what a batch has read.
type Read struct {
	Keys  []driver.Key // for all loaders
	Whole bool         // the whole table
	// ByLoader has further reads for single loaders.
	ByLoader map[any]LoaderRead
	// Members were read in full.
	Members []*rowset.Member
	// Compared are keys that a comparison, and no batch, has found to differ. Since
	// returns them, but they do not count as read by a batch.
	Compared []driver.Key
}

// LoaderRead is what a batch has read for one loader.
type LoaderRead struct {
	Keys  []driver.Key
	Whole bool
}

// Add notes what the batch with the number has read. oldest is the first batch that must be
// remembered, 0 if none must be.
func (j *Journal) Add(number uint64, r Read, oldest uint64) {
	if oldest == 0 || oldest > number {
		j.forget(number + 1)
		return
	}
	if r.Whole {
		j.whole = number
	}
	j.note(&j.keys, r.Keys, number)
	j.note(&j.compared, r.Compared, number)
	for loader, read := range r.ByLoader {
		of := j.byLoader[loader]
		if of == nil {
			of = &loaderJournal{}
			if j.byLoader == nil {
				j.byLoader = make(map[any]*loaderJournal)
			}
			j.byLoader[loader] = of
		}
		if read.Whole {
			of.whole = number
		}
		j.note(&of.keys, read.Keys, number)
	}
	for _, v := range r.Members {
		if j.members == nil {
			j.members = make(map[*rowset.Member]uint64)
		}
		if _, again := j.members[v]; !again {
			j.size++
		}
		j.members[v] = number
	}
	if j.size > j.MaxKeys || j.bytes > maxBytes {
		j.trim(oldest)
	}
	if j.size > j.MaxKeys || j.bytes > maxBytes {
		j.forget(number + 1)
	}
}

func (j *Journal) note(into *map[driver.Key]uint64, keys []driver.Key, number uint64) {
	if *into == nil && len(keys) > 0 {
		*into = make(map[driver.Key]uint64, len(keys))
	}
	before := len(*into)
	for _, k := range keys {
		(*into)[k] = number
		if len(*into) > before {
			before++
			j.size++
			j.bytes += costOf(k)
		}
	}
}

// trim drops keys and members last read before the oldest batch.
func (j *Journal) trim(oldest uint64) {
	old := func(keys map[driver.Key]uint64) {
		for k, number := range keys {
			if number < oldest {
				delete(keys, k)
				j.size--
				j.bytes -= costOf(k)
			}
		}
	}
	old(j.keys)
	old(j.compared)
	for _, of := range j.byLoader {
		old(of.keys)
	}
	for v, number := range j.members {
		if number < oldest {
			delete(j.members, v)
			j.size--
		}
	}
	j.from = max(j.from, oldest)
}

// forget drops everything. from becomes the first batch that is remembered.
func (j *Journal) forget(from uint64) {
	*j = Journal{MaxKeys: j.MaxKeys, from: from}
}

// Size estimates the size of the remembered keys, in bytes.
func (j *Journal) Size() int { return j.bytes }

// Since returns the keys that batches from the number on have read for the loader, and those
// that comparisons have found. It returns false if these are not known, or all rows were
// read.
func (j *Journal) Since(number uint64, loader any) ([]driver.Key, bool) {
	of := j.byLoader[loader]
	if number < j.from || j.whole >= number || of != nil && of.whole >= number {
		return nil, false
	}
	seen := make(map[driver.Key]struct{})
	add := func(keys map[driver.Key]uint64) {
		for k, last := range keys {
			if last >= number {
				seen[k] = struct{}{}
			}
		}
	}
	add(j.keys)
	add(j.compared)
	if of != nil {
		add(of.keys)
	}
	keys := make([]driver.Key, 0, len(seen))
	for k := range seen {
		keys = append(keys, k)
	}
	return keys, true
}

// LastRead returns the last remembered batch that has read the key for the loader, 0 for
// none.
func (j *Journal) LastRead(loader any, key driver.Key) uint64 {
	last := max(j.keys[key], j.whole)
	if of := j.byLoader[loader]; of != nil {
		last = max(last, of.keys[key], of.whole)
	}
	return last
}

// LastWhole returns the last remembered batch that has read all rows of the loader (nil: of
// all loaders), 0 for none.
func (j *Journal) LastWhole(loader any) uint64 {
	if of := j.byLoader[loader]; of != nil {
		return max(j.whole, of.whole)
	}
	return j.whole
}

// LastFull returns the last remembered batch that has read the member in full, 0 for none.
func (j *Journal) LastFull(v *rowset.Member) uint64 { return j.members[v] }

// EachFull calls visit for the members read in full, with the last batch that has done so.
func (j *Journal) EachFull(visit func(*rowset.Member, uint64)) {
	for v, number := range j.members {
		visit(v, number)
	}
}

// Knows reports whether all batches from the number on are remembered.
func (j *Journal) Knows(number uint64) bool { return number >= j.from }
