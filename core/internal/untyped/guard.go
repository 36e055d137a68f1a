package untyped

import (
	"fmt"
	"runtime/debug"
)

// Guard calls the application's code and returns its panic as an error. what describes the
// call.
func Guard[R any](what string, call func() (R, error)) (res R, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in %s: %v\n%s", what, p, debug.Stack())
		}
	}()
	return call()
}
