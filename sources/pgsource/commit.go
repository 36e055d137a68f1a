package pgsource

import "github.com/binderyhq/bindery/sources/internal/rowlog"

// commit is a transaction that is committed according to the log, with its changes.
type commit struct {
	xid     uint32
	changes rowlog.Changes
	// unsettled: the transaction may commit or not, and may change nothing. It is
	// dropped when its commit arrives.
	unsettled bool
}
