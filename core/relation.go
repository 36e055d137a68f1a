package core

import (
	"errors"

	"github.com/binderyhq/bindery/core/driver"
)

// WithRelations shows related rows in the binding's rows; the names are in the
// terms of the loader, which must be [driver.Relating]. It is for loaders to build
// their own options with. Several such options add up.
func WithRelations(names ...string) Option {
	return func(s *spec) {
		if len(names) == 0 {
			s.problems = append(s.problems, errors.New("relations: none is named"))
		}
		s.relations = append(s.relations, names...)
	}
}

// withRelations returns the loader that the options ask for.
func withRelations[T any](l driver.Loader[T], s *spec) driver.Loader[T] {
	if len(s.relations) == 0 {
		return l
	}
	r, ok := l.(driver.Relating[T])
	if !ok {
		s.problems = append(s.problems, errors.New("it shows related rows, but its loader cannot (driver.Relating)"))
		return l
	}
	return r.WithRelations(s.relations...)
}
