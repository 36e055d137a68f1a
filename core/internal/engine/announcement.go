package engine

import (
	"sync"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/feed"
)

// announced is a source's announcement: one to each feed that the changes concern.
type announced struct {
	sink  *sink
	once  sync.Once
	parts []*feed.Announcement
	orig  []driver.Change
	res   feed.Receipt
}

// Confirm implements [driver.Announcement].
func (a *announced) Confirm(changes ...driver.Change) driver.Receipt {
	a.once.Do(func() {
		if len(changes) == 0 {
			changes = a.orig
		}
		// Report before the announcement ends, so that no read can fall between the two.
		a.res = a.sink.report(changes)
		a.end()
	})
	return a.res
}

// Withdraw implements [driver.Announcement].
func (a *announced) Withdraw() { a.once.Do(a.end) }

func (a *announced) end() {
	a.sink.forget(a)
	a.withdrawParts()
}

func (a *announced) withdrawParts() {
	for _, p := range a.parts {
		p.End()
	}
}
