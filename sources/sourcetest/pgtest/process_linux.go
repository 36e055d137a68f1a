package pgtest

import "syscall"

// dieWithParent has the server shut down at once when the test binary dies
// without having stopped it: by a panic, a timeout or a signal.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }
