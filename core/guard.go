package core

import (
	"fmt"
	"runtime/debug"
)

// guard calls the user's code and turns its panic into an error.
func guard[R any](what string, call func() (R, error)) (res R, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in %s: %v\n%s", what, p, debug.Stack())
		}
	}()
	return call()
}
