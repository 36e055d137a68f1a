//go:build unix && !linux

package pgtest

import "syscall"

// dieWithParent does nothing: only Linux can tie a child's life to ours.
func dieWithParent(*syscall.SysProcAttr) {}
