package audit

import (
	"context"
	"hash/maphash"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
)

// Buckets is the number of buckets in which a comparison records the held rows that
// it has found. They take 16 bytes each.
const Buckets = 1 << 16

// findKeys bounds the keys that a comparison reads at a time.
const findKeys = 1000

// bucket counts held rows, and adds up their hashes.
type bucket struct {
	rows int64
	sum  uint64
}

// comparison compares the rows of a reading with those that its bindings hold.
type comparison struct {
	reading  Reading
	bindings []Binding
	rest     func(context.Context) error // called after each piece
	found    func(Row) error             // called with each differing row
	doubtful func(driver.Key) error      // called with each key that must be read by the feed

	seed    maphash.Seed
	buckets []bucket
	rows    uint64 // compared
}

// run reads all rows once, and the held rows of buckets that do not balance once
// more. It may report a row twice.
func (c *comparison) run(ctx context.Context) error {
	c.bindings = c.reading.Bindings()
	c.seed = maphash.MakeSeed()
	c.buckets = make([]bucket, Buckets)
	unread, err := c.reading.Scan(ctx, func(rows []Row) error {
		for _, r := range rows {
			if err := c.row(r); err != nil {
				return err
			}
		}
		return c.rest(ctx)
	})
	if err != nil {
		return err
	}
	for _, key := range unread {
		if err := c.doubtful(key); err != nil {
			return err
		}
	}
	return c.leftovers(ctx)
}

// row compares one row with what the bindings hold of it.
func (c *comparison) row(r Row) error {
	c.rows++
	differs := false
	c.reading.Match(r.Value, func(i int) {
		held, same := c.bindings[i].Holds(r)
		if held {
			h := c.hash(i, r.Key)
			b := &c.buckets[h%Buckets]
			b.rows++
			b.sum += h
		}
		differs = differs || !same
	})
	if !differs {
		return nil
	}
	return c.found(r)
}

// leftovers reads the held rows that the scan has not found: they are gone, do not
// meet their binding's condition any more, or are held only since. Rows that
// share a bucket with these are read too.
func (c *comparison) leftovers(ctx context.Context) error {
	c.each(func(_ int, _ driver.Key, h uint64) bool {
		b := &c.buckets[h%Buckets]
		b.rows--
		b.sum -= h
		return true
	})
	even := !slices.ContainsFunc(c.buckets, func(b bucket) bool { return b != bucket{} })
	if even {
		return nil
	}
	var err error
	some := make(map[driver.Key][]int, findKeys)
	c.each(func(i int, key driver.Key, h uint64) bool {
		if c.buckets[h%Buckets] == (bucket{}) {
			return true
		}
		some[key] = append(some[key], i)
		if len(some) == findKeys {
			err = c.find(ctx, some)
			clear(some)
		}
		return err == nil
	})
	if err == nil && len(some) > 0 {
		err = c.find(ctx, some)
	}
	return err
}

// each calls visit for every row that every binding holds, until it returns
// false.
func (c *comparison) each(visit func(i int, key driver.Key, h uint64) bool) {
	more := true
	for i, b := range c.bindings {
		if !more {
			return
		}
		b.Keys(func(key driver.Key) bool {
			more = visit(i, key, c.hash(i, key))
			return more
		})
	}
}

// find reads the rows of some keys, each with the bindings that hold it.
func (c *comparison) find(ctx context.Context, some map[driver.Key][]int) error {
	keys := make([]driver.Key, 0, len(some))
	for key := range some {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	rows, unread, err := c.reading.Find(ctx, keys)
	if err != nil {
		return err
	}
	for _, key := range unread {
		if err := c.doubtful(key); err != nil {
			return err
		}
		delete(some, key)
	}
	for _, r := range rows {
		left, differs := some[r.Key], false
		delete(some, r.Key)
		c.reading.Match(r.Value, func(i int) {
			_, same := c.bindings[i].Holds(r)
			differs = differs || !same
			left = slices.DeleteFunc(left, func(j int) bool { return i == j })
		})
		if differs || len(left) > 0 {
			if err := c.found(r); err != nil {
				return err
			}
		}
	}
	for _, key := range keys {
		if _, gone := some[key]; gone {
			if err := c.found(Row{Key: key}); err != nil {
				return err
			}
		}
	}
	return c.rest(ctx)
}

func (c *comparison) hash(i int, key driver.Key) uint64 {
	return maphash.String(c.seed, string(key)) + uint64(i)*0x9e3779b97f4a7c15
}
