package feed

import (
	"context"
	"errors"

	"github.com/binderyhq/bindery/core/internal/rowset"
)

// CheckHeld compares the rows that the feed's bindings hold, margins included, with their
// windows, their pools and the table. It is for tests. Call it when everything reported
// shows and nothing new is reported.
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

// CheckLinks compares the links to related rows that the feed's pools know with the rows
// themselves. It returns the number of links. It is for tests, like [Feed.CheckHeld].
func (f *Feed) CheckLinks() (links int, err error) {
	var errs []error
	for _, p := range f.pools {
		n, err := p.CheckLinks()
		links += n
		errs = append(errs, err)
	}
	return links, errors.Join(errs...)
}

// PreparedLoaders returns how many loaders the feed knows to be prepared. It is for tests.
func (f *Feed) PreparedLoaders() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.learned.prepared)
}
