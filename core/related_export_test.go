package core

import (
	"errors"
)

// CheckShown compares what the registry's pools know about the rows that their
// rows show with what the rows say. It is called while nothing is reported, and
// after a Flush. It returns how many links there are.
func CheckShown(r *Registry) (links int, err error) {
	var errs []error
	for _, f := range r.eng.Feeds() {
		n, err := f.CheckLinks()
		links += n
		errs = append(errs, err)
	}
	return links, errors.Join(errs...)
}
