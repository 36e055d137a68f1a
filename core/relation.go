package core

import (
	"errors"

	"github.com/binderyhq/bindery/core/driver"
)

// withRelations returns the loader that the options ask for.
func withRelations[T any](l driver.Loader[T], s *settings) driver.Loader[T] {
	if len(s.relations) == 0 {
		return l
	}
	r, ok := l.(driver.RelationLoader[T])
	if !ok {
		s.Problems = append(s.Problems, errors.New("it shows related rows, but its loader cannot (driver.RelationLoader)"))
		return l
	}
	return r.WithRelations(s.relations...)
}
