package pgsource

import "github.com/binderyhq/bindery/sources/internal/rowlog"

// commit is a transaction that the log says is committed, with what it changed.
type commit struct {
	xid     uint32
	changes rowlog.Changes
	// unsettled: it is not known to be a commit, nor to change anything. It is
	// forgotten when the transaction's commit comes after all.
	unsettled bool
}
