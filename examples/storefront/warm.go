package main

import (
	"github.com/binderyhq/bindery/plugins/warmstart"
)

// newWarm returns the plugin that keeps snapshots in the directory that the flag
// names, nil when none is named.
func newWarm(database *database, s settings) *warmstart.Plugin {
	if s.warm == "" {
		return nil
	}
	return warmstart.New(s.warm, database.name)
}

// isWarm reports whether the shop can open with what it has kept: then it does not
// wait for the database to be prepared.
func (s *shop) isWarm() bool { return s.warm != nil && s.warm.Found() }
