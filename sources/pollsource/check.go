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
	// validate returns what is wrong with how the check was made. It does no
	// input or output.
	validate() error

	// group names what a table is looked at with: tables of one group share
	// every look, and a finding about one is a finding about all. The name
	// holds all that the watcher takes from the schema, so that a schema that
	// changed (the database was asked for its types) begins a group anew.
	group(table driver.Schema) string

	// watch returns a watcher of the group that the table is of. It does no
	// input or output.
	watch(table driver.Schema) watcher

	// fullPass is the default of Config.FullPass, 0 for a check that misses
	// nothing.
	fullPass() time.Duration
}

// defaultFullPass is for checks that miss a kind of change, and whose polls
// cost far less than reading the table.
const defaultFullPass = 10 * time.Minute

// watcher remembers what a group was like when it was last looked at. It is
// used by one goroutine, and given up after an error.
type watcher interface {
	// look returns what may have changed since the look before. The first
	// look is the one that later ones are compared with: whatever is
	// committed after it begins is found by a later look. Its own finding is
	// of no account.
	look(ctx context.Context) (finding, error)

	// close lets go of what look has opened.
	close() error
}

// waking is a watcher that is told of changes between the polls.
type waking interface {
	// wakeBy gives it the function to call, from any goroutine, when it is time
	// to look. It is called before the first look.
	wakeBy(wake func())
}

// heldWatcher is a watcher that compares what it finds with what bindings hold.
type heldWatcher interface {
	// compareWith gives it the function that visits the keys of all rows held by
	// bindings which have changed since it was last called, and reports whether
	// there were any. It is called before the first look.
	compareWith(held func(visit func(driver.Key)) (changed bool))
}

// finding is what a look has found.
type finding struct {
	// whole says that any row may have changed; otherwise those of the keys.
	whole bool
	keys  []driver.Key
	// log tells which rows have changed, where whole is set; nil where nothing does.
	log driver.ChangeLog
	// changed says that something did change: a finding may also repeat what
	// was found before, to be safe, and that must not keep the interval short.
	changed bool
	// still says for certain that nothing was committed since the look before,
	// so that a full pass would find nothing either.
	still bool
	// unsettled says that commits of this process are under way, so that those
	// of others are only found by a later look.
	unsettled bool
}

// always is the check of a source without one: any row may have changed.
type always struct{}

func (always) validate() error             { return nil }
func (always) group(driver.Schema) string  { return "" }
func (always) watch(driver.Schema) watcher { return always{} }
func (always) fullPass() time.Duration     { return 0 }
func (always) close() error                { return nil }

func (always) look(context.Context) (finding, error) {
	return finding{whole: true, changed: true}, nil
}
