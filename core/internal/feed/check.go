package feed

import (
	"context"
	"errors"

	"github.com/binderyhq/bindery/core/internal/rowset"
)

// CheckHeld compares what the feed's bindings hold, margins included, with what their
// windows and pools say, and with all rows of the table. It is for tests, and called
// while nothing is reported, and after everything reported shows.
func (f *Feed) CheckHeld(ctx context.Context) error {
	var errs []error
	for _, p := range f.pools {
		errs = append(errs, p.Check())
		for _, views := range []map[*rowset.Member]struct{}{p.InMemory, p.Asked} {
			for v := range views {
				errs = append(errs, v.CheckHeld(ctx))
			}
		}
	}
	return errors.Join(errs...)
}

// CheckLinks compares what the feed's pools know about the related rows that their rows
// show with what the rows say. It returns how many links there are. It is for tests,
// like checkHeld.
func (f *Feed) CheckLinks() (links int, err error) {
	var errs []error
	for _, p := range f.pools {
		n, err := p.CheckLinks()
		links += n
		errs = append(errs, err)
	}
	return links, errors.Join(errs...)
}

// PreparedLoaders returns how many loaders the feed remembers to have prepared.
func (f *Feed) PreparedLoaders() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.learned.prepared)
}
