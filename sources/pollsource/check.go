package pollsource

import (
	"context"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// Check finds out cheaply what may have changed. This package makes them:
// [Query], [Probe], [DataVersion], [XMin] and [Watermark]. A check is
// immutable and may be given to several sources.
type Check interface {
	// validate returns the mistakes in the check's arguments. It does no input or
	// output.
	validate() error

	// group names the table's group: tables of one group share every look, and a
	// finding about one is a finding about all. The name includes everything that
	// the watcher takes from the schema, so that a changed schema (by Prepare, for
	// one) begins a new group.
	group(table driver.Schema) string

	// watch returns a watcher of the table's group. It does no input or output.
	watch(table driver.Schema) watcher

	// fullPass is the default of Config.FullPass, 0 for a check that finds every
	// change.
	fullPass() time.Duration
}

// defaultFullPass is for checks that miss some changes, and cost far less than
// reading the table.
const defaultFullPass = 10 * time.Minute

// watcher remembers the state of a group at its last look. It is used by one
// goroutine, and discarded after an error.
type watcher interface {
	// look returns what may have changed since the look before. The finding of
	// the first look is ignored; later looks find whatever is committed after it
	// began.
	look(ctx context.Context) (finding, error)

	// close closes whatever look has opened.
	close() error
}

// waking is a watcher that learns of changes between polls.
type waking interface {
	// wakeBy sets the function that the watcher calls, from any goroutine, to
	// request a look. It is called before the first look.
	wakeBy(wake func())
}

// heldWatcher is a watcher that compares its findings with the bindings' rows.
type heldWatcher interface {
	// compareWith sets a function that visits the keys of all rows of those
	// bindings that have changed since its last call, and reports whether
	// there were any. compareWith is called before the first look.
	compareWith(held func(visit func(driver.Key)) (changed bool))
}

// finding is the result of a look.
type finding struct {
	// whole says that any row may have changed; otherwise those of the keys.
	whole bool
	keys  []driver.Key
	// log tells which rows have changed if whole is set; nil if nothing tells.
	log driver.ChangeLog
	// changed says that something is new: a finding may also repeat an earlier one,
	// to be safe, and that must not keep the interval short.
	changed bool
	// still says for certain that nothing was committed since the look before,
	// so that a full pass would find nothing either.
	still bool
	// unsettled says that this process is committing, so that only a later look
	// finds the commits of others.
	unsettled bool
}

// always stands for no check: any row may have changed.
type always struct{}

func (always) validate() error             { return nil }
func (always) group(driver.Schema) string  { return "" }
func (always) watch(driver.Schema) watcher { return always{} }
func (always) fullPass() time.Duration     { return 0 }
func (always) close() error                { return nil }

func (always) look(context.Context) (finding, error) {
	return finding{whole: true, changed: true}, nil
}
