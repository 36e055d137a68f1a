package core

import (
	"github.com/binderyhq/bindery/core/driver"
)

// DependsOn names the tables that the binding's rows are made of, where that is
// more than the table that it is bound to tells: for a view of the database, for
// one. Whenever one of them changes the binding is read anew, in full and at the
// pace of [Tuning].MinInterval, and compared with what it held. A Database left empty
// means the binding's. Several options add up.
//
// Sources are then shown these tables and no longer the binding's own, which
// may be named as well if it is written to.
func DependsOn(tables ...driver.Table) Option {
	return func(s *settings) { s.Depends = append(s.Depends, tables...) }
}
